"""The command `detect`: says what is wrong with photos, and changes nothing."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from restorekit.entry import printable
from restorekit.errors import RestorekitError

if TYPE_CHECKING:
    from restorekit.restoring.finding import Finding


def detect(
    photos: Annotated[
        list[str],
        typer.Argument(metavar="PHOTO...", help="JPEG, PNG, WebP or TIFF files, folders of them, or quoted patterns."),
    ],
    recursive: Annotated[bool, typer.Option("--recursive", help="Also look into the folders below.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="A JSON object a line: photo, found, probabilities, thresholds.")
    ] = False,
) -> None:
    """Says what is wrong with photos: rain 0.93. Writes nothing.

    A photo that cannot be read does not stop the others; all of them are named at the end, with exit status 1.
    """
    from restorekit.restoring.finding import look_at, shipped_detector
    from restorekit.restoring.selection import Errand, find_photos

    detector = shipped_detector()
    if detector is None:
        raise RestorekitError("this installation carries no detector, so nothing here says what is wrong with a photo")
    found, problems = find_photos(photos, recursive)
    count = len(found) + len(problems)
    for one in look_at((Errand(each.photo, each.photo) for each in found), detector):
        if isinstance(one, str):
            problems.append(one)
        elif as_json:
            print(_as_json(one, detector.calibration.thresholds))
        else:
            print(printable(f"{one.errand.photo}: {one.detection.in_words()}").replace("\n", "\\n"))
    if problems:
        heading = f"{len(problems)} of {count} photos were not read:\n  " if count > 1 else ""
        raise RestorekitError(heading + "\n  ".join(problems))


def _as_json(finding: "Finding", thresholds: Mapping[str, float]) -> str:
    """One line of ASCII."""
    return json.dumps(
        {
            "photo": str(finding.errand.photo),
            "found": list(finding.detection.found),
            "probabilities": {name: round(value, 4) for name, value in finding.detection.probabilities.items()},
            "thresholds": {name: round(value, 4) for name, value in thresholds.items()},
        }
    )
