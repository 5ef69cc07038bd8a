"""What a network that localises says of a pair: its mask held against the true one, and the error in and out of it."""

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from restorekit.evaluation.interval import mean_interval
from restorekit.evaluation.pairs import Pair
from restorekit.files import write_beside
from restorekit.metrics.masks import auc, changed, correlation, iou_f1, psnr_where
from restorekit.metrics.psnr import psnr_rgb
from restorekit.rng import rng_for

# What is put in the place of the predicted mask: the true one, and masks of one colour (dakd.md 7, A6 and A7).
VARIANTS = ("oracle", "black", "white")


@dataclass(frozen=True)
class Localised:
    """What a network shows of an image of H x W pixels; maps are float32 (H, W), scaled up where they are smaller."""

    mask: np.ndarray  # in [0, 1], 1 = degraded
    energy: np.ndarray  # (levels, H, W): how strongly the restoring encoder responds, mean over channels
    maps: dict[str, np.ndarray]  # further ones by name, to be looked at


class Localiser(Protocol):
    """A network that predicts where an image is degraded."""

    tau: float  # the difference above which a pixel counts as degraded, as the network was taught

    def locate(self, degraded: np.ndarray) -> Localised:
        """What the network shows of an image, uint8 (H, W, 3)."""
        ...

    def restore_with(self, degraded: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """The image restored with `mask`, float32 (H, W), in the place of the predicted one: uint8 (H, W, 3)."""
        ...


@dataclass(frozen=True)
class MaskScore:
    """One image; figures that are not defined, as those inside of a mask that is all black, are None."""

    dataset: str
    key: str
    photograph: str
    share: float  # of the pixels that are degraded
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
class MaskFigure:
    """The mean of one figure over the images of a set for which it is defined."""

    dataset: str
    name: str
    n: int
    mean: float
    ci95: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "ci95": list(self.ci95)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "MaskFigure":
        low, high = value["ci95"]
        return cls(**{**value, "ci95": (low, high)})


def score_mask(dataset: str, pair: Pair, restored: np.ndarray, shown: Localised, localiser: Localiser) -> MaskScore:
    """The row of a pair whose restored image is uint8 (H, W, 3)."""
    degraded, clean = pair.degraded, pair.clean
    wanted = changed(degraded, clean, localiser.tau)
    iou, f1 = iou_f1(shown.mask, wanted)
    masks = {"oracle": wanted.astype(np.float32)} | {
        name: np.full(wanted.shape, level, np.float32) for name, level in (("black", 0.0), ("white", 1.0))
    }
    known = [one for one in (correlation(level, wanted) for level in shown.energy) if one is not None]
    return MaskScore(
        dataset, pair.facts.key, pair.facts.photograph, float(wanted.mean()), iou, f1, auc(shown.mask, wanted),
        f1_all_white=iou_f1(masks["white"], wanted)[1], f1_all_black=iou_f1(masks["black"], wanted)[1],
        inside_degraded=psnr_where(degraded, clean, wanted), inside_restored=psnr_where(restored, clean, wanted),
        outside_degraded=psnr_where(degraded, clean, ~wanted), outside_restored=psnr_where(restored, clean, ~wanted),
        correlation=float(np.mean(known)) if known else None, psnr_found=psnr_rgb(restored, clean),
        **{f"psnr_{name}": psnr_rgb(localiser.restore_with(degraded, masks[name]), clean) for name in VARIANTS},
    )  # fmt: skip


# Figures of a set, each a function of a row; differences are paired, image by image.
FIGURES: dict[str, Callable[[MaskScore], float | None]] = {
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


def mask_figures(rows: Sequence[MaskScore], seed: int, resamples: int) -> list[MaskFigure]:
    """Every figure of every set in `rows`, with its interval; one that no image defines is left out."""
    figures = []
    for dataset in dict.fromkeys(row.dataset for row in rows):
        for name, figure in FIGURES.items():
            of_set = [(figure(row), row.photograph) for row in rows if row.dataset == dataset]
            found = [(value, photograph) for value, photograph in of_set if value is not None]
            if found:
                values = np.array([value for value, _ in found])
                rng = rng_for(seed, "interval", dataset, "mask")
                ci95 = mean_interval(values, [photograph for _, photograph in found], rng, resamples)
                figures.append(MaskFigure(dataset, name, len(found), float(values.mean()), ci95))
    return figures


def write_mask_table(path: Path, rows: Iterable[MaskScore]) -> None:
    """Writes masks.csv: a line for each image, empty where a figure is not defined."""
    with write_beside(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([field.name for field in fields(MaskScore)])
        for row in rows:
            writer.writerow(["" if value is None else value for value in asdict(row).values()])


def read_mask_table(path: Path) -> list[MaskScore]:
    """The rows that `write_mask_table` wrote."""
    with path.open(newline="", encoding="utf-8") as file:
        return [_row(line) for line in csv.DictReader(file)]


def _row(line: dict[str, str]) -> MaskScore:
    texts = ("dataset", "key", "photograph")
    values: dict[str, Any] = {
        name: text if name in texts else float(text) if text else None for name, text in line.items()
    }
    return MaskScore(**values)


def _difference(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else after - before
