"""The pictures in a folder of the user's and below it, by name, in an order that does not depend on the machine."""

import os
from pathlib import Path

from restorekit.errors import RestorekitError
from restorekit.image import FORMATS


def list_pictures(where: str, root: Path, exclude: Path | None = None) -> list[str]:
    """Files with a picture's suffix below `root`, as POSIX paths; none that is hidden or in the folder `exclude`.

    `where` names the parameters that name `root`; a RestorekitError says so where it is no folder, or a folder below it
    cannot be read.
    """
    if not root.is_dir():
        raise RestorekitError(f"{where}: no folder at {root}")

    def unreadable(error: OSError) -> None:
        raise RestorekitError(f"{where}: {error.filename} cannot be read: {error.strerror}") from error

    names: list[str] = []
    for place, folders, files in os.walk(root, onerror=unreadable):
        here = Path(place)
        folders[:] = sorted(
            n for n in folders if not n.startswith((".", "__MACOSX")) and (here / n).resolve() != exclude
        )
        below = here.relative_to(root)
        names += [
            (below / name).as_posix()
            for name in sorted(files)
            if Path(name).suffix.lower() in FORMATS and not name.startswith(".")
        ]
    return names
