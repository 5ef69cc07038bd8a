"""Imports weights that a paper's authors released; every key of their file is used or listed as unused."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import torch
from torch import Tensor, nn

from restorekit.errors import RestorekitError, unknown_name
from restorekit.files import sha256_file
from restorekit.models import create_model
from restorekit.models.checkpoint import RECORD, fill, save_model
from restorekit.models.descriptor import Descriptor
from restorekit.models.dmgn import released as dmgn
from restorekit.models.madf import released as madf
from restorekit.models.trunks import FROM_CHECKPOINT, read_tensors

Shapes = Mapping[str, tuple[int, ...]]


def from_authors(name: str, tensors: Mapping[str, Tensor], variant: str = "reflection") -> nn.Module:
    """The model `name` with the weights of its authors' file, in eval mode.

    `tensors` is the file's state dict, with or without the authors' prefixes. `read_authors` reads the file and
    executes nothing in the file. DMGN: the three variants have the same 294 keys, so one file fills any variant; rain
    and haze check the tensors of the Noise Distribution Map and drop them. MADF: the file determines the number of
    refinements. The 14 tensors of the loss network and the 35 tensors of unused norms may be missing; otherwise they
    are checked and dropped. Raises RestorekitError for any other missing, extra or mis-shaped key.
    """
    if name not in RELEASED:
        raise unknown_name("model with released weights", name, RELEASED)
    model, used = RELEASED[name](tensors, variant)
    fill(model, used, "the authors' file")
    return model.eval()


def read_authors(file: Path) -> dict[str, Tensor]:
    """The state dict of an authors' file, or the "model" part of a training checkpoint; only tensors are unpickled."""
    tensors = read_tensors(file, "authors' file")
    inner = tensors.get("model")
    table = inner if isinstance(inner, Mapping) else tensors
    if not table or not all(isinstance(value, Tensor) for value in table.values()):
        raise RestorekitError(f"{file} holds no state dict: it is not a file of released weights")
    return dict(table)


def _dmgn(tensors: Mapping[str, Tensor], variant: str) -> tuple[nn.Module, dict[str, Tensor]]:
    found = {key.removeprefix(dmgn.PREFIX): tensor for key, tensor in tensors.items()}
    with torch.device("meta"):
        whole = create_model("dmgn", variant="reflection", trunk="vgg19", trunk_weights=FROM_CHECKPOINT)
        model = create_model("dmgn", variant=variant, trunk="vgg19", trunk_weights=FROM_CHECKPOINT)
    names, shapes = dmgn.names(), {key: tuple(value.shape) for key, value in whole.state_dict().items()}
    _check("DMGN", found, {theirs: shapes[ours] for theirs, ours in names.items()} | dmgn.unused())
    own = model.state_dict()
    return model, {ours: found[theirs].detach().clone() for theirs, ours in names.items() if ours in own}


def _madf(tensors: Mapping[str, Tensor], variant: str) -> tuple[nn.Module, dict[str, Tensor]]:
    found = {_without(key, madf.PREFIXES): tensor for key, tensor in tensors.items()}
    width, refinements = madf.width_of(found), madf.refinements_of(found)
    if width < 4 or width % 4:
        raise RestorekitError(
            "the authors' file has no 'deconv_1.0.weight' of a known shape: it is not the released MADF"
        )
    with torch.device("meta"):
        model = create_model("madf", width=width, refinements=refinements)
    own, sources = model.state_dict(), madf.sources(width, refinements)
    expected = {
        key: shape
        for ours, source in sources.items()
        for key, shape in zip(source.keys, source.shapes(tuple(own[ours].shape)), strict=True)
    }
    _check("MADF", found, expected, madf.dead_norms(width) | madf.extractor())
    return model, {ours: source.join(*(found[key] for key in source.keys)) for ours, source in sources.items()}


def _without(key: str, prefixes: Iterable[str]) -> str:
    return next((key.removeprefix(prefix) for prefix in prefixes if key.startswith(prefix)), key)


def _check(
    name: str,
    found: Mapping[str, Tensor],
    expected: Shapes,
    unused: Shapes = MappingProxyType({}),
) -> None:
    """Checks that every expected key is present, that other keys are in `unused`, and that all shapes match."""
    for key in expected:
        if key not in found:
            raise RestorekitError(f"the authors' file has no '{key}': it is not a whole file of the released {name}")
    known = {**expected, **unused}
    for key, tensor in found.items():
        if key not in known:
            raise RestorekitError(f"the authors' file has an unknown key, '{key}': it is not the released {name}")
        if tuple(tensor.shape) != known[key]:
            shapes = f"{list(tensor.shape)} where {list(known[key])} is expected"
            raise RestorekitError(f"'{key}' in the authors' file is {shapes}: it is not the released {name}")


RELEASED: dict[str, Callable[[Mapping[str, Tensor], str], tuple[nn.Module, dict[str, Tensor]]]] = {
    "dmgn": _dmgn,
    "madf": _madf,
}


def import_weights(name: str, file: Path, output: Path, variant: str = "reflection") -> dict[str, Any]:
    """Writes the authors' `file` as the model folder `output` and returns the record; `output` must hold no model yet.

    `variant` selects DMGN's task, which its files do not state. The record's "run" is `<model>-<task>--imported`; the
    model registers as `<model>-<task>`.
    """
    if (output / RECORD).exists():
        raise RestorekitError(f"{output} holds a model already: name another --output")
    model = from_authors(name, read_authors(file), variant)
    task = cast(Descriptor, model.descriptor).tasks[0]
    output.mkdir(parents=True, exist_ok=True)
    return save_model(
        output,
        model,
        {
            "run": f"{name}-{task}--imported", "task": task, "dataset": task, "registered_name": f"{name}-{task}",
            "seed": None, "steps": 0, "imported_from": {"file": file.name, "sha256": sha256_file(file)},
        },
    )  # fmt: skip
