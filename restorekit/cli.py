"""The command line: `restorekit restore | degrade | models | import-weights`.

A command imports torch and mlflow only where it needs them, so that help and errors come at once.
"""

import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from restorekit.entry import run_entry
from restorekit.errors import RestorekitError
from restorekit.tasks import REAL_TASKS, degradations_in_words, tasks_of

if TYPE_CHECKING:
    from torch import nn

    from restorekit.image import Photo
    from restorekit.inference import Restorer

app = typer.Typer(
    help=f"Restores photographs degraded by {degradations_in_words()}, with models you have trained.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Runs the command line; a user's error is one message on stderr and exit status 1."""
    run_entry(app)


@app.command()
def restore(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="JPEG, PNG, WebP or TIFF files.")],
    model: Annotated[str, typer.Option(help="A registered model (`restorekit models`), or a model's folder.")],
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
        Literal["cpu", "cuda"] | None, typer.Option(help="Default: cuda if there is a GPU, else cpu.")
    ] = None,
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
        restorer = _restorer(*_load_model(model, alias), device, memory, tile, self_ensemble)
        _check_mask(restorer, model, mask)
        for photo, target in targets.items():
            try:
                _restore_one(photo, target, restorer, mask, invert_mask)
            except RestorekitError as error:
                failures.append(str(error))
    if failures:
        count = f"{len(failures)} of {len(photos)} photos were not restored:\n  " if len(photos) > 1 else ""
        raise RestorekitError(count + "\n  ".join(failures))


@app.command()
def degrade(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="A clean photo.")],
    task: Annotated[str, typer.Option(help=f"{', '.join(REAL_TASKS)}, or mixed: several.")],
    severity: Annotated[float, typer.Option(min=0.0, max=1.0, help="From 0 to 1.")] = 0.5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random draws: another seed, other rain.")] = 0,
    kind: Annotated[str, typer.Option(help="A kind of the task, such as light or heavy rain; mixed: any.")] = "mixed",
    other: Annotated[Path | None, typer.Option(help="The photo to be reflected; for the task reflection.")] = None,
    output: Annotated[Path | None, typer.Option(help="A file; default: NAME.TASK.SUFFIX next to the photo.")] = None,
) -> None:
    """Degrades a clean photo like the training data. The same seed gives the same picture."""
    import numpy as np

    from restorekit.degradations import Scene, get_degradation
    from restorekit.image import format_of, read_image, to_float, write_image
    from restorekit.rng import rng_for

    degradation = get_degradation(task)
    if degradation.needs_other != (other is not None):
        need = "needs --other, the photo that is reflected" if degradation.needs_other else "takes no --other photo"
        raise RestorekitError(f"{task} {need}")
    target = output or photo.with_name(f"{photo.stem}.{task}{photo.suffix}")
    _refuse_inputs(target, [photo] if other is None else [photo, other])
    clean = _read(photo)
    format_of(target)
    scene = Scene(to_float(clean.pixels), other=None if other is None else to_float(read_image(other).pixels))
    size = (clean.height, clean.width)
    params = degradation.sample(rng_for(seed, "degrade", task), size, severity, kind)
    degraded = degradation.apply(scene, params).degraded
    write_image(target, clean.with_pixels(np.clip(degraded, 0.0, 1.0).astype(np.float32)))
    print(f"{photo} -> {target} ({task}, {params['kind']}, severity {severity:g}, seed {seed})")


@app.command()
def models() -> None:
    """Lists the registered models with their versions, aliases and scores."""
    from restorekit.tracking.versions import list_registered

    versions = list_registered()
    if not versions:
        print("no model is registered here yet: `dvc repro` trains, evaluates and registers them")
        return
    rows = [("model", "version", "aliases", "digest", "scores")]
    for found in versions:
        rows.append(
            (found.name, str(found.version), ", ".join(found.aliases) or "-", found.digest[:12], _scores(found.tags))
        )
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@app.command()
def import_weights(
    name: Annotated[str, typer.Argument(metavar="MODEL", help="madf or dmgn.")],
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The authors' .pth file, of which only tensors are read.")
    ],
    output: Annotated[Path, typer.Option(help="A new folder for the model, for `restore --model`.")],
    variant: Annotated[str, typer.Option(help=f"For dmgn: {', '.join(tasks_of('dmgn'))}.")] = "reflection",
    register: Annotated[bool, typer.Option("--register", help="Also register the model as a version.")] = False,
) -> None:
    """Converts weights released by a paper's authors to a model's folder; every tensor is checked."""
    from restorekit.models import authors

    record = authors.import_weights(name, file, output, variant)
    print(f"{file} -> {output} ({record['model']} for {record['task']}, digest {record['digest'][:12]})")
    if register:
        from restorekit.paths import working_root
        from restorekit.tracking.registry import find_or_register

        version = find_or_register(output, working_root().root)
        print(f"registered as {version.name} version {version.version}, {', '.join(version.aliases)}")


def _scores(tags: dict[str, str]) -> str:
    """The scores in a version's tags, such as `synthetic-test.psnr_rgb 31.2, gain +4.1` for each test set."""
    scores = [f"{key} {value}" for key, value in sorted(tags.items()) if key.endswith((".psnr_rgb", ".ssim_rgb"))]
    return "; ".join(scores) or "not evaluated"


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
            _refuse_inputs(target, photos if mask is None else [*photos, mask])
            if target in targets.values():
                raise RestorekitError(f"{photo}: another photo goes to {target} already; restore it on its own")
        except RestorekitError as error:
            failures.append(str(error))
        else:
            targets[photo] = target
    return targets


def _refuse_inputs(target: Path, inputs: list[Path]) -> None:
    for photo in inputs:
        if target.exists() and photo.exists() and target.samefile(photo):
            raise RestorekitError(f"{target} is the photo itself and will not be overwritten: name another --output")


def _load_model(model: str, alias: str) -> tuple["nn.Module", dict[str, Any]]:
    """The model and its record, from the folder `model` or from the registry."""
    folder = Path(model)
    if (folder / "model.json").is_file() or "/" in model:
        from restorekit.models.checkpoint import load_model

        if not folder.is_dir():
            raise RestorekitError(f"no model's folder at {folder}")
        return load_model(folder)
    from restorekit.tracking.registry import load_registered

    return load_registered(model, alias)


def _restorer(
    model: "nn.Module",
    record: Mapping[str, Any],
    device: str | None,
    memory: float | None,
    tile: int | None,
    self_ensemble: bool,
) -> "Restorer":
    import torch

    from restorekit.inference import Restorer
    from restorekit.inference.self_ensemble import AS_IT_IS, trained_views

    if memory is not None and not 0 < memory < math.inf:
        raise RestorekitError(f"--memory {memory:g} is no number of GiB above 0")
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    views = trained_views(record) if self_ensemble else AS_IT_IS
    if self_ensemble and len(views) == 1:
        raise RestorekitError("--self-ensemble: this model was trained without flips, so there is one view of a photo")
    return Restorer(model, chosen, None if memory is None else int(memory * 2**30), tile, views)


def _read(path: Path) -> "Photo":
    from restorekit.image import read_image

    photo = read_image(path)
    for note in photo.notes:
        print(f"note: {note}", file=sys.stderr)
    return photo


def _check_mask(restorer: "Restorer", model: str, mask: Path | None) -> None:
    if restorer.descriptor.takes_mask and mask is None:
        raise RestorekitError(f"{model} fills holes: give --mask, a picture that is white where something is missing")
    if mask is not None and not restorer.descriptor.takes_mask:
        raise RestorekitError(f"{model} takes no --mask: it finds by itself what is degraded")


def _restore_one(path: Path, target: Path, restorer: "Restorer", mask: Path | None, invert_mask: bool) -> None:
    from restorekit.image import check_format, read_mask, to_float, write_image

    began = time.monotonic()
    photo = _read(path)
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


if __name__ == "__main__":
    main()
