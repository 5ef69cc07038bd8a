"""The command `restore`: restores photos, folders of photos and patterns with a registered, shipped or own model."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from restorekit.entry import Interrupted
from restorekit.errors import RestorekitError
from restorekit.tasks import REAL_TASKS

if TYPE_CHECKING:
    from restorekit.cli.display import BatchDisplay
    from restorekit.detection.detector import Detector
    from restorekit.restoring.masks import MaskSource
    from restorekit.restoring.opening import Settings
    from restorekit.restoring.selection import Errand


def restore(
    photos: Annotated[
        list[str],
        typer.Argument(metavar="PHOTO...", help="JPEG, PNG, WebP or TIFF files, folders of them, or quoted patterns."),
    ],
    model: Annotated[
        str | None, typer.Option(help="A registered or shipped model (`restorekit models`), or a model's folder.")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help=f"What is wrong with the photos: {', '.join(REAL_TASKS)}; picks the model. Without --task and --model "
            f"each photo is looked at."
        ),
    ] = None,
    alias: Annotated[str, typer.Option(help="The registered version to use.")] = "champion",
    strength: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="1: as the model restores it; 0: the photo; between: a blend.")
    ] = 1.0,
    mask: Annotated[
        Path | None,
        typer.Option(
            help="For inpainting: a picture of the photo's size, white where something is missing, for all photos; "
            "or a folder with one for each photo, of the photo's name."
        ),
    ] = None,
    invert_mask: Annotated[
        bool, typer.Option("--invert-mask", help="The mask is black where something is missing.")
    ] = False,
    mask_colour: Annotated[
        str | None, typer.Option(help='Pixels of this colour are missing, such as "#ff00ff", painted into the photo.')
    ] = None,
    grow: Annotated[int, typer.Option(min=0, max=1000, help="Widens what is missing by so many pixels.")] = 0,
    output: Annotated[
        str | None,
        typer.Option(
            help="A file for one photo, or a folder (with / at its end, if its name has a dot); "
            "default: NAME.restored.SUFFIX next to the photo."
        ),
    ] = None,
    recursive: Annotated[bool, typer.Option("--recursive", help="Also restore photos in the folders below.")] = False,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave out photos that have a result: go on after a stop.")
    ] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Also write a before/after picture, NAME.restored.SUFFIX.compare.jpg.")
    ] = False,
    keep_time: Annotated[
        bool, typer.Option("--keep-time", help="Give the result the photo's time of modification.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, max=256, help="Photos to restore at once; they share the memory.")] = 1,
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
    """Restores photos of any size. Keeps metadata, depth and transparency; with a mask, every pixel outside.

    Without --task and --model each photo gets the model for what is found, and a clean photo is left alone. A photo
    that cannot be restored does not stop the others; all of them are named at the end, with exit status 1.
    """
    from restorekit.restoring.photo_file import Wishes
    from restorekit.restoring.selection import find_photos

    masks = _masks(mask, mask_colour, invert_mask, grow)
    found, problems = find_photos(photos, recursive)
    errands, refused = _errands(found, output, masks, compare)
    problems += refused
    count = len(errands) + len(problems)
    if skip_existing:
        errands = _without_existing(errands)
    if errands:
        from restorekit.restoring.opening import Settings

        wishes = Wishes(strength, compare, keep_time, masks)
        settings = Settings(device, precision, memory, tile, self_ensemble)
        detector = _detector(masks is not None) if model is None and task is None else None
        if detector is None:
            problems += _with_one_model(errands, (model, task, alias), settings, jobs, wishes)
        else:
            problems += _with_what_is_found(errands, detector, settings, jobs, wishes)
    if problems:
        heading = f"{len(problems)} of {count} photos were not restored:\n  " if count > 1 else ""
        raise RestorekitError(heading + "\n  ".join(problems))


def _masks(path: Path | None, colour: str | None, invert: bool, grow: int) -> "MaskSource | None":
    from restorekit.restoring.masks import MaskSource, parse_colour

    if path is not None and colour is not None:
        raise RestorekitError("--mask and --mask-colour both say what is missing: give one of them")
    if invert and path is None:
        raise RestorekitError("--invert-mask is for a --mask, and there is none")
    if path is None and colour is None:
        if grow:
            raise RestorekitError("--grow is for a --mask or a --mask-colour, and there is none")
        return None
    return MaskSource(path, None if colour is None else parse_colour(colour), invert, grow)


def _errands(
    found: Sequence[Any], output: str | None, masks: "MaskSource | None", compare: bool
) -> tuple[list["Errand"], list[str]]:
    from restorekit.restoring.selection import plan

    return plan(found, output, [] if masks is None else masks.files(found), compare)


def _without_existing(errands: list["Errand"]) -> list["Errand"]:
    left = [errand for errand in errands if not os.path.lexists(errand.target)]
    if len(left) < len(errands):
        print(f"skipped: {len(errands) - len(left)} of {len(errands)} photos have a result already")
    return left


def _detector(has_mask: bool) -> "Detector | None":
    from restorekit.restoring.finding import shipped_detector

    detector = shipped_detector()
    if detector is not None and has_mask:
        raise RestorekitError("a mask says where something is missing: add --task inpainting, or a --model")
    return detector


def _with_one_model(
    errands: Sequence["Errand"],
    asked: tuple[str | None, str | None, str],
    settings: "Settings",
    jobs: int,
    wishes: Any,
) -> list[str]:
    """Restores all photos with the model that was `asked` for by its name, or by the task, and an alias."""
    from restorekit.restoring.batch import restore_all
    from restorekit.restoring.choice import load_chosen
    from restorekit.restoring.opening import check_mask, open_restorers

    chosen = load_chosen(*asked)
    check_mask(chosen, wishes.masks is not None)
    if asked[1] is not None:
        print(f"{asked[1]}: using {chosen.name}")
    restorers = open_restorers(chosen, settings, min(jobs, len(errands)))
    with _shown(len(errands), len(restorers)) as display:
        return restore_all(errands, restorers, wishes, display)


def _with_what_is_found(
    errands: Sequence["Errand"], detector: "Detector", settings: "Settings", jobs: int, wishes: Any
) -> list[str]:
    """Looks at all photos, then restores those with something wrong: one model after the other, each loaded once."""
    import torch

    from restorekit.restoring.batch import restore_all
    from restorekit.restoring.finding import Finding, by_need, look_at, model_for, without_model
    from restorekit.restoring.opening import open_restorers

    problems: list[str] = []
    threads = torch.get_num_threads()
    with _shown(len(errands), jobs) as display:
        findings: list[Finding] = []
        for found in look_at(errands, detector):
            if isinstance(found, str):
                problems.append(found)
            elif found.need is None:
                display.left(found.left)
            else:
                findings.append(found)
        for need, ones in by_need(findings).items():
            try:
                chosen = model_for(need)
            except RestorekitError as error:
                problems += without_model(ones, str(error))
                continue
            for one in ones:
                display.say(one.using(chosen.name))
            torch.set_num_threads(threads)  # several jobs have divided them
            restorers = open_restorers(chosen, settings, min(jobs, len(ones)))
            problems += restore_all([one.errand for one in ones], restorers, wishes, display)
            del chosen, restorers  # before the next model is loaded
    return problems


@contextmanager
def _shown(photos: int, jobs: int) -> Iterator["BatchDisplay"]:
    """A display of the batch; Ctrl-C inside is told in one line."""
    from restorekit.cli.display import BatchDisplay

    with BatchDisplay(photos, jobs) as display:
        try:
            yield display
            return
        except KeyboardInterrupt:
            done = display.done
    again = "the same command with --skip-existing goes on from there" if photos > 1 else "nothing was written"
    raise Interrupted(f"{done} of {photos} photos are restored; {again}")
