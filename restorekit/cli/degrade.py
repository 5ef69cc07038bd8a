"""The command `degrade`: a clean photo degraded like the training data."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from restorekit.errors import RestorekitError
from restorekit.tasks import REAL_TASKS


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
    from restorekit.image import read_image, to_float, write_image
    from restorekit.image.keeping import left_behind
    from restorekit.restoring.selection import identities, refuse_inputs
    from restorekit.rng import rng_for

    degradation = get_degradation(task)
    if degradation.needs_other != (other is not None):
        need = "needs --other, the photo that is reflected" if degradation.needs_other else "takes no --other photo"
        raise RestorekitError(f"{task} {need}")
    target = output or photo.with_name(f"{photo.stem}.{task}{photo.suffix}")
    refuse_inputs(target, identities([photo] if other is None else [photo, other]))
    clean = read_image(photo)
    for note in (*clean.notes, *left_behind(target, clean)):
        print(f"note: {note}", file=sys.stderr)
    scene = Scene(to_float(clean.pixels), other=None if other is None else to_float(read_image(other).pixels))
    size = (clean.height, clean.width)
    params = degradation.sample(rng_for(seed, "degrade", task), size, severity, kind)
    degraded = degradation.apply(scene, params).degraded
    write_image(target, clean.with_pixels(np.clip(degraded, 0.0, 1.0).astype(np.float32)))
    print(f"{photo} -> {target} ({task}, {params['kind']}, severity {severity:g}, seed {seed})")
