"""The command `restore`: restores photos with a registered model or a model's folder."""

import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from restorekit.cli.photo_files import read_noted, refuse_inputs
from restorekit.errors import RestorekitError

if TYPE_CHECKING:
    from torch import nn

    from restorekit.config import Precision
    from restorekit.inference import Restorer


def restore(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="JPEG, PNG, WebP or TIFF files.")],
    model: Annotated[
        str, typer.Option(help="A registered or shipped model (`restorekit models`), or a model's folder.")
    ],
    alias: Annotated[str, typer.Option(help="The registered version to use.")] = "champion",
    mask: Annotated[
        Path | None,
        typer.Option(help="For inpainting one photo: a picture of the photo's size, white where something is missing."),
    ] = None,
    invert_mask: Annotated[
        bool, typer.Option("--invert-mask", help="The mask is black where something is missing.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(help="A file for one photo, or a folder; default: NAME.restored.SUFFIX next to the photo."),
    ] = None,
    tile: Annotated[int | None, typer.Option(help="Side of the tiles in pixels; default: as memory allows.")] = None,
    memory: Annotated[
        float | None,
        typer.Option(help="GiB of memory for restoring, without the loaded model; default: half of the free memory."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, or cuda:1 for the second GPU; default: cuda if there is a GPU.")
    ] = None,
    precision: Annotated[
        Literal["fp32", "bf16", "fp16", "auto"],
        typer.Option(help="Of the network's convolutions; auto: bf16 where the device has it, else fp32."),
    ] = "fp32",
    self_ensemble: Annotated[
        bool,
        typer.Option(
            "--self-ensemble",
            help="Average over mirrored and turned views, those of the model's training; takes 2 to 8 times as long.",
        ),
    ] = False,
) -> None:
    """Restores photos of any size. Keeps metadata, depth and transparency; with --mask, every pixel outside."""
    if mask is not None and len(photos) > 1:
        raise RestorekitError(f"--mask is of one photo, and there are {len(photos)}: restore them one by one")
    if invert_mask and mask is None:
        raise RestorekitError("--invert-mask is for a --mask, and there is none")
    failures: list[str] = []
    targets = _targets(photos, output, failures, mask)
    if targets:
        restorer = _restorer(*_load_model(model, alias), device, precision, memory, tile, self_ensemble)
        _check_mask(restorer, model, mask)
        for photo, target in targets.items():
            try:
                _restore_one(photo, target, restorer, mask, invert_mask)
            except RestorekitError as error:
                failures.append(str(error))
    if failures:
        count = f"{len(failures)} of {len(photos)} photos were not restored:\n  " if len(photos) > 1 else ""
        raise RestorekitError(count + "\n  ".join(failures))


def _targets(photos: list[Path], output: Path | None, failures: list[str], mask: Path | None) -> dict[Path, Path]:
    """The output path of each photo; a missing photo, or one that would be overwritten, goes to `failures` instead."""
    from restorekit.image import FORMATS, format_of

    into_folder = output is not None and (output.is_dir() or not output.suffix)
    if output is not None and not into_folder:
        if len(photos) > 1:
            raise RestorekitError(f"--output {output} is one file for {len(photos)} photos: name a folder")
        if not photos[0].is_dir():
            format_of(output)
    targets: dict[Path, Path] = {}
    for photo in dict.fromkeys(photos):
        default = photo.with_name(f"{photo.stem}.restored{photo.suffix}")
        target = default if output is None else output / default.name if into_folder else output
        try:
            if not photo.exists():
                raise RestorekitError(f"no photo at {photo}")
            if photo.suffix.lower() not in FORMATS and (output is None or into_folder):
                format_of(photo)
            refuse_inputs(target, photos if mask is None else [*photos, mask])
            if target in targets.values():
                raise RestorekitError(f"{photo}: another photo goes to {target} already; restore it on its own")
        except RestorekitError as error:
            failures.append(str(error))
        else:
            targets[photo] = target
    return targets


def _load_model(model: str, alias: str) -> tuple["nn.Module", dict[str, Any]]:
    """The model and its record: a shipped one, a folder's, or a registered one."""
    from restorekit.paths import working_root
    from restorekit.tracking.named import load_named

    return load_named(model, working_root().root, alias, beside=Path())


def _restorer(
    model: "nn.Module",
    record: Mapping[str, Any],
    device: str | None,
    precision: "Precision",
    memory: float | None,
    tile: int | None,
    self_ensemble: bool,
) -> "Restorer":
    import torch

    from restorekit.inference import Restorer
    from restorekit.inference.device import imitation_note
    from restorekit.inference.self_ensemble import AS_IT_IS, trained_views

    if memory is not None and not 0 < memory < math.inf:
        raise RestorekitError(f"--memory {memory:g} is no number of GiB above 0")
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    views = trained_views(record) if self_ensemble else AS_IT_IS
    if self_ensemble and len(views) == 1:
        raise RestorekitError("--self-ensemble: this model was trained without flips, so there is one view of a photo")
    restorer = Restorer(model, chosen, None if memory is None else int(memory * 2**30), tile, views, precision)
    note = imitation_note(precision, restorer.device)
    if note:
        print(f"note: {note}", file=sys.stderr)
    return restorer


def _check_mask(restorer: "Restorer", model: str, mask: Path | None) -> None:
    if restorer.descriptor.takes_mask and mask is None:
        raise RestorekitError(f"{model} fills holes: give --mask, a picture that is white where something is missing")
    if mask is not None and not restorer.descriptor.takes_mask:
        raise RestorekitError(f"{model} takes no --mask: it finds by itself what is degraded")


def _restore_one(path: Path, target: Path, restorer: "Restorer", mask: Path | None, invert_mask: bool) -> None:
    from restorekit.image import check_format, read_mask, to_float, write_image

    began = time.monotonic()
    photo = read_noted(path)
    check_format(target, photo)  # before the restoration, not after
    if mask is not None and target.suffix.lower() in (".jpg", ".jpeg"):
        print(f"note: a JPEG changes all pixels a little; with {target.stem}.png those outside stay", file=sys.stderr)
    holes = None if mask is None else read_mask(mask, (photo.height, photo.width), invert_mask)
    if holes is not None and holes.mean() > 0.5:
        turn = "leave --invert-mask out to turn it round" if invert_mask else "--invert-mask turns it round"
        colour = "black" if invert_mask else "white"
        print(
            f"note: more than half of the photo is missing: is the mask {colour} where something is missing? {turn}",
            file=sys.stderr,
        )
    progress = _show_progress if sys.stderr.isatty() else None
    restored = restorer.restore(to_float(photo.pixels), holes, progress)
    write_image(target, photo.with_pixels(restored))
    print(f"{path} -> {target} ({photo.width} x {photo.height}, {time.monotonic() - began:.1f} s)")


def _show_progress(done: int, total: int) -> None:
    if total > 1:
        print(f"\rtile {done} of {total}", end="\n" if done == total else "", file=sys.stderr, flush=True)
