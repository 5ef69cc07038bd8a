"""What several commands do with a photo's file: read it and print its notes, and refuse to overwrite it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from restorekit.errors import RestorekitError

if TYPE_CHECKING:
    from restorekit.image import Photo


def read_noted(path: Path) -> "Photo":
    from restorekit.image import read_image

    photo = read_image(path)
    for note in photo.notes:
        print(f"note: {note}", file=sys.stderr)
    return photo


def refuse_inputs(target: Path, inputs: list[Path]) -> None:
    for photo in inputs:
        if target.exists() and photo.exists() and target.samefile(photo):
            raise RestorekitError(f"{target} is the photo itself and will not be overwritten: name another --output")
