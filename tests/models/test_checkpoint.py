"""Model folders: loading returns the saved model, and refuses a damaged or foreign folder with a reason."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from restorekit.config.dmgn import DmgnOptions
from restorekit.errors import RestorekitError
from restorekit.files import canonical_json
from restorekit.models import create_model
from restorekit.models.checkpoint import load_model, save_model
from restorekit.models.dmgn import DMGN


def dmgn(variant: Any, width: int, trunk: Any = "none", **options: Any) -> DMGN:
    return DMGN(DmgnOptions(variant=variant, width=width, trunk=trunk, **options))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_model(tmp_path / "model", dmgn("rain", 4), {"run": "dmgn-rain", "seed": 1})
    return tmp_path / "model"


@pytest.mark.parametrize(
    "options",
    [
        {"variant": "reflection", "width": 4, "trunk": "none", "zero_last": True},
        {"variant": "rain", "width": 5, "trunk": "none", "use_ndm": True},
        {"variant": "haze", "width": 4, "trunk": "vgg16_shift_tolerant"},
    ],
)
def test_loading_returns_the_saved_model(tmp_path: Path, options: dict[str, Any]) -> None:
    model = DMGN(DmgnOptions(**options))
    written = save_model(tmp_path, model, {"run": "a", "options": {"of": "params.yaml"}, "gain": 1.5})
    state = torch.get_rng_state()
    loaded, record = load_model(tmp_path)
    assert torch.equal(torch.get_rng_state(), state)
    assert record == written
    assert record["gain"] == 1.5
    assert record["model"] == "dmgn"
    assert record["options"] == model.options.model_dump()
    assert not loaded.training
    own, found = model.state_dict(), loaded.state_dict()
    assert own.keys() == found.keys()
    assert all(torch.equal(own[key], value) for key, value in found.items())
    frozen = {name for name, parameter in loaded.named_parameters() if not parameter.requires_grad}
    assert frozen == {name for name in own if name.startswith("head.trunk.features") and not name.endswith("filt")}
    image = torch.rand(1, 3, 20, 24)
    assert torch.equal(loaded.restore(image), model.restore(image))  # type: ignore[operator]


def test_the_trunk_is_part_of_the_checkpoint(tmp_path: Path) -> None:
    save_model(tmp_path, dmgn("rain", 4, "vgg16_shift_tolerant"), {})
    stored = load_file(tmp_path / "weights.safetensors")
    assert {"head.trunk.features.0.weight", "head.trunk.scale", "head.trunk.features.5.filt"} < stored.keys()


def test_equal_models_give_equal_bytes(tmp_path: Path) -> None:
    model = dmgn("rain", 4)
    for name in ("a", "b"):
        save_model(tmp_path / name, model.to(memory_format=torch.channels_last) if name == "b" else model, {"run": "x"})
    for file in ("weights.safetensors", "model.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_saving_replaces_the_model_and_leaves_other_files(folder: Path) -> None:
    (folder / "curves.csv").write_text("step\n")
    model = dmgn("haze", 6)
    save_model(folder, model, {})
    assert load_model(folder)[0].options == model.options
    assert sorted(path.name for path in folder.iterdir()) == ["curves.csv", "model.json", "weights.safetensors"]


def test_a_loaded_model_can_be_trained_on_and_saved(folder: Path) -> None:
    model, record = load_model(folder)
    model.train()(torch.rand(1, 3, 17, 17)).background.mean().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert save_model(folder, model, record) == record


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    record = json.loads((folder / "model.json").read_text())
    change(record)
    (folder / "model.json").write_text(canonical_json(record))


def flip_a_bit(folder: Path) -> None:
    content = bytearray((folder / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(content)


def truncate(folder: Path) -> None:
    file = folder / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def swap_weights(folder: Path) -> None:
    save_file({"a": torch.zeros(2)}, folder / "weights.safetensors")


@pytest.mark.parametrize(
    "damage, message",
    [
        (flip_a_bit, "digest differs"),
        (truncate, "digest differs"),
        (swap_weights, "digest differs"),
        (lambda folder: (folder / "weights.safetensors").unlink(), "no weights at"),
        (lambda folder: (folder / "model.json").unlink(), "no model at"),
        (lambda folder: (folder / "model.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "model.json").write_text("[]"), "no record of format 1"),
        (lambda folder: edit(folder, lambda record: record.update(format=2)), "no record of format 1"),
        (lambda folder: edit(folder, lambda record: record.pop("digest")), "has no 'digest'"),
        (lambda folder: edit(folder, lambda record: record["options"].update(width=8)), "digest differs"),
    ],
)
def test_damage_is_refused_with_its_reason(folder: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(folder)
    with pytest.raises(RestorekitError, match=message):
        load_model(folder)


def resign(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes the content and writes a matching digest, as a careless tool would."""
    from restorekit.models.checkpoint import _digest

    edit(folder, change)
    edit(folder, lambda record: record.update(digest=_digest(folder / "weights.safetensors", record)))


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda record: record["options"].update(width=8), "is .* not .* another model"),
        (lambda record: record["options"].update(use_ndm=True), "lacks 'noise_map"),
        (lambda record: record["options"].update(colour="red"), "unknown option"),
        (lambda record: record.update(model="dmng"), "did you mean 'dmgn'"),
    ],
)
def test_weights_of_another_model_are_refused(folder: Path, change: Callable[[Any], None], message: str) -> None:
    resign(folder, change)
    with pytest.raises(RestorekitError, match=message):
        load_model(folder)


@pytest.mark.parametrize("value, loads", [(False, True), (True, False)])
def test_a_removed_option_loads_only_with_its_supported_value(folder: Path, value: bool, loads: bool) -> None:
    """Rain's network ends without a tanh, as in the released code; the option for a tanh has been removed."""
    resign(folder, lambda record: record["options"].update(final_tanh=value))
    if loads:
        assert load_model(folder)[0].options.variant == "rain"
        return
    with pytest.raises(RestorekitError, match="final_tanh: True, and dmgn now has False alone: take the version"):
        load_model(folder)


def test_weights_with_an_unknown_key_are_refused(folder: Path) -> None:
    tensors = load_file(folder / "weights.safetensors")
    save_file({**tensors, "more": torch.zeros(1)}, folder / "weights.safetensors")
    resign(folder, lambda record: None)
    with pytest.raises(RestorekitError, match="unknown key, 'more'"):
        load_model(folder)


def test_a_record_that_is_not_json_writes_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        save_model(tmp_path / "new", dmgn("rain", 4), {"loss": float("nan")})
    assert not (tmp_path / "new").exists()


def test_an_option_is_read_under_its_former_name(tmp_path: Path) -> None:
    folder = tmp_path / "dakd"
    save_model(folder, create_model("dakd", width=2, negative_slope=0.2), {"run": "dakd-rain", "task": "rain"})
    resign(folder, lambda record: record["options"].update(leak=record["options"].pop("negative_slope")))
    assert load_model(folder)[0].options.negative_slope == 0.2
