"""Finds out what is wrong with photos, and which model each of them needs."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from restorekit.errors import RestorekitError
from restorekit.image import read_image
from restorekit.restoring.choice import Chosen, choose_model
from restorekit.restoring.selection import Errand
from restorekit.tasks import DETECTED
from restorekit.weights import PREFIX, detector_folder, load_shipped, shipped_names

if TYPE_CHECKING:
    from restorekit.detection.detector import Detection, Detector

ALL = "all"  # the shipped network for photos with several things wrong


@dataclass(frozen=True)
class Finding:
    """A photo with what a detector says of it."""

    errand: Errand
    detection: "Detection"

    @property
    def need(self) -> str | None:
        """The model that the photo needs: a task, or `ALL`; None where nothing is wrong."""
        found = self.detection.found
        return None if not found else ALL if len(found) > 1 and ALL in shipped_names() else found[0]

    def using(self, model: str) -> str:
        """The sentence that says what was found and what is used: `a.jpg: rain 0.93: using shipped:rain`."""
        rest = self.detection.found[1:] if self.need != ALL else ()
        more = f" ({' and '.join(rest)} {'was' if len(rest) == 1 else 'were'} found, too)" if rest else ""
        return f"{self.errand.photo}: {self.detection.in_words()}: using {model}{more}"

    @property
    def left(self) -> str:
        """The sentence on a photo that is left alone."""
        return f"{self.errand.photo}: {self.detection.in_words()}: left as it is"


def shipped_detector() -> "Detector | None":
    """The detector that this installation carries, if any."""
    folder = detector_folder()
    if folder is None:
        return None
    from restorekit.detection.detector import Detector

    return Detector.load(folder)


def look_at(errands: Iterable[Errand], detector: "Detector") -> Iterator[Finding | str]:
    """A finding for each photo, or a sentence on why it cannot be read."""
    for errand in errands:
        try:
            yield Finding(errand, detector.detect(read_image(errand.photo).pixels))
        except RestorekitError as error:
            yield str(error)


def by_need(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """The findings of photos with something wrong, by the model that they need, in the order of the labels."""
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.need is not None:
            found.setdefault(finding.need, []).append(finding)
    return {need: found[need] for need in (*DETECTED, ALL) if need in found}


def model_for(need: str) -> Chosen:
    """The network for a need; a RestorekitError where there is none."""
    return Chosen(f"{PREFIX}{ALL}", *load_shipped(ALL)) if need == ALL else choose_model(need)


def without_model(findings: Sequence[Finding], reason: str) -> list[str]:
    """A sentence on each photo whose need no model serves."""
    return [f"{one.errand.photo}: {one.detection.in_words()}, but {reason}" for one in findings]
