"""What the figures of a report do not say, in words that depend on how they came about."""

from collections.abc import Sequence

from restorekit.evaluation.results import SYNTHETIC_TEST
from restorekit.report.inputs import RunResult

FEW = 20  # photographs below which the interval is known to be too narrow; see evaluation/interval.py


def caveats(results: Sequence[RunResult]) -> list[str]:
    """One sentence or two for each limit that applies to these results."""
    scores = [score for result in results for score in result.scores]
    said = []
    if scores and all(score.dataset == SYNTHETIC_TEST for score in scores):
        said.append(
            "All test images are synthetic: clean photographs that this project degraded itself, with the operators "
            "that the networks were trained on. Networks trained on synthetic degradations often do much less for real "
            "photographs, and nothing here measures that. Do not hold these figures against published ones on other "
            "test sets."
        )
    real = list(dict.fromkeys(score.dataset for score in scores if score.dataset != SYNTHETIC_TEST))
    if real:
        said.append(
            f"{', '.join(real)}: pairs from your folders, not made here. Public ones are under licences of their own; "
            "look at those before you show this page's pictures to anyone. Figures are by the protocols named here, "
            "on whole images as the files have them; published figures may be by other protocols."
        )
    fewest = min((score.photographs for score in scores if score.slice == "all"), default=FEW)
    if fewest < FEW:
        photographs = "1 test photograph" if fewest == 1 else f"{fewest} test photographs"
        said.append(
            f"There are few photographs: {photographs}, each degraded several times. An interval from so few is too "
            "narrow (with two photographs it holds the true mean in 60 to 90 of 100 cases, not in 95) and says little "
            "of photographs that are not like them. More images of the same photographs do not mend that; more "
            "photographs do."
        )
    if any(score.slice.startswith("holes:") for score in scores):
        said.append(
            "Where something is missing, gains are over the mean fill: the mean colour of all known pixels, "
            "one for each image."
        )
    said.append(
        "The gain is paired: for each image, the restored value less the degraded one (the reverse where lower is "
        "better), then the mean. Its 95% interval is a bootstrap over photographs and over the images within each. "
        "Equal images count as 100 dB."
    )
    said.append(
        "The pictures were chosen by photograph and severity before anything was restored, not by how they came out."
    )
    return said
