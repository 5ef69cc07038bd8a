"""The results of an evaluation as rows: their types, and the constants that readers need.

The report, the gate and the ablations read evaluations through this file, which imports neither torch nor a network.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from restorekit.errors import RestorekitError
from restorekit.files import read_json
from restorekit.metrics.protocols import gain
from restorekit.paths import Paths

EVALUATION_FORMAT = 4  # of evaluation.json
# The test set of synthesized images. A run's further synthesized data sets have theirs as synthetic-test-<data set>;
# real sets have their own names.
SYNTHETIC_TEST = "synthetic-test"
ALL = "all"  # the slice of all images of a test set
CLEAN = "clean"  # the slice of a test set's clean photographs, which a network should leave as they are
REMEDY = "run `dvc repro evaluate`"


@dataclass(frozen=True)
class Facts:
    """The facts about an image before it is scored; slices and pictures are chosen by them."""

    key: str
    photograph: str  # images of one photograph are not independent of each other
    kind: str | None = None  # of degradation
    severity: float | None = None  # 0 to 1
    hole_share: float | None = None  # missing part of the image; None where pixels are degraded, not missing


@dataclass(frozen=True)
class ImageScore:
    """One row of the table: the values of each protocol for the degraded and for the restored image."""

    dataset: str
    facts: Facts
    width: int
    height: int
    degraded: dict[str, float]  # for images with holes: of the image with a mean fill
    restored: dict[str, float]


@dataclass(frozen=True)
class MaskScore:
    """The scores of one image's predicted mask; an undefined figure, such as inside an all-black mask, is None."""

    dataset: str
    key: str
    photograph: str
    share: float  # degraded part of all pixels
    iou: float
    f1: float
    auc: float | None
    f1_all_white: float
    f1_all_black: float
    inside_degraded: float | None  # PSNR where the true mask is white
    inside_restored: float | None
    outside_degraded: float | None
    outside_restored: float | None
    correlation: float | None  # of the encoder's energy with the true mask, mean over its levels
    psnr_found: float
    psnr_oracle: float
    psnr_black: float
    psnr_white: float


@dataclass(frozen=True)
class CleanScore:
    """What the network did to the clean image of one row; the figures of CLEAN_METRICS, None where undefined."""

    dataset: str
    key: str  # of the image that the clean one belongs to
    photograph: str
    figures: dict[str, float | None]


# Figures of a mask's row; differences are paired, image by image.
MASK_FIGURES: dict[str, Callable[[MaskScore], float | None]] = {
    "share": lambda row: row.share,
    "iou": lambda row: row.iou,
    "f1": lambda row: row.f1,
    "auc": lambda row: row.auc,
    "f1_all_white": lambda row: row.f1_all_white,
    "f1_all_black": lambda row: row.f1_all_black,
    "gain_inside": lambda row: _difference(row.inside_restored, row.inside_degraded),
    "gain_outside": lambda row: _difference(row.outside_restored, row.outside_degraded),
    "correlation": lambda row: row.correlation,
    "oracle_gain": lambda row: row.psnr_oracle - row.psnr_found,
    "black_gain": lambda row: row.psnr_black - row.psnr_found,
    "white_gain": lambda row: row.psnr_white - row.psnr_found,
}


@dataclass(frozen=True)
class _WithInterval:
    """Conversion of a mean and its interval to a JSON value and back."""

    def to_json(self) -> dict[str, Any]:
        value = asdict(self)
        return {**value, "ci95": list(value["ci95"])}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        low, high = value["ci95"]
        return cls(**{**value, "ci95": (low, high)})


@dataclass(frozen=True)
class SliceScore(_WithInterval):
    """The means of one protocol over one slice of one test set."""

    dataset: str
    slice: str
    n: int  # images
    photographs: int
    protocol: str
    better: str  # "higher" or "lower"
    degraded: float
    restored: float
    gain: float  # mean paired gain; positive is better, also where lower is better
    ci95: tuple[float, float]  # of the mean paired gain


@dataclass(frozen=True)
class OpponentScore(_WithInterval):
    """The network compared with one opponent, on one slice of one test set."""

    opponent: str
    dataset: str
    slice: str
    n: int  # images that the opponent filled
    of: int  # all images of the slice
    protocol: str
    ours: float
    theirs: float
    lead: float  # mean paired difference; positive where the network is better, also where lower is better
    ci95: tuple[float, float]


@dataclass(frozen=True)
class MaskFigure(_WithInterval):
    """The mean of one figure over the images of a set for which it is defined."""

    dataset: str
    name: str
    n: int
    mean: float
    ci95: tuple[float, float]


@dataclass(frozen=True)
class CleanFigure(_WithInterval):
    """One figure of CLEAN_METRICS over the clean photographs of a set, each once."""

    dataset: str
    name: str
    n: int  # photographs for which the figure is defined
    mean: float
    ci95: tuple[float, float]  # of the mean
    worst: float  # the value farthest from that of an untouched photograph
    worst_of: str  # its photograph


@dataclass(frozen=True)
class Mean(_WithInterval):
    """A mean over the images of all seeds; the interval resamples pairs of a seed and a photograph, then images."""

    mean: float
    ci95: tuple[float, float]


@dataclass(frozen=True)
class AblationRow:
    """The scores of one configuration of a table of ablations."""

    model: str
    dataset: str
    label: str
    settings: dict[str, Any]  # differences from the first configuration of its group, by dotted name
    seeds: tuple[int, ...]
    steps: int
    images: int  # of each seed
    photographs: int
    gain: dict[str, Mean]  # by protocol, over the degraded image
    by_seed: tuple[float, ...]  # the gain of each seed in PSNR
    difference: dict[str, Mean] | None  # by protocol, from the first of the group; None for the first itself
    mask: dict[str, Mean]  # by name in MASK_FIGURES

    def to_json(self) -> dict[str, Any]:
        return asdict(self)  # includes the means


def paired_gains(rows: Sequence[ImageScore], protocol: str, others: Sequence[ImageScore] | None = None) -> np.ndarray:
    """The gain of every row, float64 (n,), over its degraded image or over the row of the same image in `others`."""
    if others is None:
        return np.array([gain(protocol, row.degraded[protocol], row.restored[protocol]) for row in rows])
    before = {(row.dataset, row.facts.key): row.restored[protocol] for row in others}
    if set(before) != {(row.dataset, row.facts.key) for row in rows} or len(before) != len(rows):
        raise RestorekitError(f"the two tables are not of the same test images: {REMEDY}")
    return np.array([gain(protocol, before[row.dataset, row.facts.key], row.restored[protocol]) for row in rows])


def not_trained(paths: Paths, run: str) -> str | None:
    """The reason why a run has no model yet, with the remedy; None where the model exists."""
    there = (paths.model(run) / "model.json").is_file()
    return None if there else f"not trained yet: run `dvc repro {stage_of('train', paths, run)}`"


def not_evaluated(paths: Paths, run: str) -> str | None:
    """The reason why a run has no evaluation yet, with the remedy; None where the evaluation exists."""
    there = (paths.evaluation(run) / "evaluation.json").is_file()
    return None if there else f"not evaluated yet: run `dvc repro {stage_of('evaluate', paths, run)}`"


def stage_of(name: str, paths: Paths, run: str) -> str:
    """A run's stage as an argument of `dvc repro`; runs outside the main pipeline have their own dvc.yaml.

    One stage makes all ablations of a run: their area ends with its name. Runs on several data sets have written stages
    (pipelines/mixed/stages.py).
    """
    area = paths.areas.get(run)
    if not area:
        return f"{name}@{run}"
    pipeline, *rest = area.split("/")
    joint = "-" if pipeline == "mixed" else "@"
    return f"pipelines/{pipeline}/dvc.yaml:{name}{joint}{rest[-1] if rest else run}"


def read_evaluation(folder: Path, run: str, remedy: str = REMEDY) -> dict[str, Any]:
    """The evaluation.json of a run; a RestorekitError with the remedy where it is missing or of another format."""
    value: dict[str, Any] = read_json(folder / "evaluation.json", f"evaluation of '{run}'", remedy)
    if value["format"] != EVALUATION_FORMAT:
        raise RestorekitError(f"the evaluation of '{run}' is of another version of restorekit: {remedy}")
    return value


def _difference(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else after - before
