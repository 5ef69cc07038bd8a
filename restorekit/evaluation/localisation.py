"""Scores of a predicted mask: against the true mask, by the error inside and outside, and as maps to look at."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from restorekit.evaluation.results import MASK_FIGURES, MaskFigure, MaskScore
from restorekit.evaluation.slices import mean_interval
from restorekit.evaluation.test_sets import Pair
from restorekit.image import to_float, to_uint8
from restorekit.metrics.mask_metrics import auc, changed, correlation, iou_f1, psnr_where
from restorekit.metrics.psnr import psnr_rgb
from restorekit.models.dakd import DAKD, DakdResult
from restorekit.rng import rng_for

# Masks that replace the predicted one: the true mask, and masks of one colour (dakd.md 7, A6 and A7).
VARIANTS = ("oracle", "black", "white")


@dataclass(frozen=True)
class MaskPrediction:
    """A network's maps of an image of H x W pixels, float32 (H, W), scaled up where they are smaller."""

    mask: np.ndarray  # in [0, 1], 1 = degraded
    energy: np.ndarray  # (levels, H, W): how strongly the restoring encoder responds, mean over channels
    maps: dict[str, np.ndarray]  # further maps by name, for pictures


class Localiser(Protocol):
    """A network that predicts a mask of the degraded pixels."""

    tau: float  # the difference above which a pixel counts as degraded, as in the network's training

    def locate(self, degraded: np.ndarray) -> MaskPrediction:
        """The network's maps of an image, uint8 (H, W, 3)."""
        ...

    def restore_with(self, degraded: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """The image, uint8 (H, W, 3), restored with `mask`, float32 (H, W), instead of the predicted mask."""
        ...


def localiser_of(model: nn.Module, precision: Literal["fp32", "bf16"]) -> Localiser | None:
    """A localiser around the network, on a GPU if there is one; None for a network that predicts no mask."""
    descriptor: Any = model.descriptor
    return NetworkLocaliser(model, precision) if descriptor.localises else None


class NetworkLocaliser:
    """DAKD as a Localiser; whole images only."""

    def __init__(self, model: nn.Module, precision: Literal["fp32", "bf16"]) -> None:
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = cast(DAKD, model).to(self._device).eval()
        self._precision = precision
        self.tau = float(model.tau)  # type: ignore[arg-type]

    def locate(self, degraded: np.ndarray) -> MaskPrediction:
        with torch.inference_mode(), self._autocast():
            result: DakdResult = self._model(self._pixels(degraded))
        size = (degraded.shape[0], degraded.shape[1])
        maps: dict[str, Tensor] = {}
        if result.gates:
            maps["gate"] = result.gates[-1]
        if result.context is not None:
            maps["context from"] = result.context.gathered
            maps["context to"] = result.context.given
        energy = [_scaled(features.float().abs().mean(dim=1, keepdim=True), size) for features in result.student]
        return MaskPrediction(
            _scaled(result.mask, size), np.stack(energy), {name: _scaled(one, size) for name, one in maps.items()}
        )

    def restore_with(self, degraded: np.ndarray, mask: np.ndarray) -> np.ndarray:
        guide = torch.from_numpy(mask)[None, None].to(self._device)
        with torch.inference_mode(), self._autocast():
            restored = self._model.restore_guided(self._pixels(degraded), guide)
        return to_uint8(restored[0].float().permute(1, 2, 0).cpu().numpy())

    def _pixels(self, degraded: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(to_float(degraded).transpose(2, 0, 1)))[None].to(self._device)

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self._device, dtype=torch.bfloat16, enabled=self._precision == "bf16")


def _scaled(values: Tensor, size: tuple[int, int]) -> np.ndarray:
    """A map (1, 1, h, w) of the padded image, scaled up and cropped to (H, W), without the padding."""
    factor = max(1, (size[0] + -size[0] % 4) // values.shape[-2])
    large = values.float()
    if factor > 1:
        large = functional.interpolate(large, scale_factor=float(factor), mode="bilinear", align_corners=False)
    return large[0, 0, : size[0], : size[1]].cpu().numpy()


def score_mask(
    dataset: str, pair: Pair, restored: np.ndarray, shown: MaskPrediction, localiser: Localiser
) -> MaskScore:
    """The scores of the predicted mask of a pair; `restored` is uint8 (H, W, 3)."""
    degraded, clean = pair.degraded, pair.clean
    truth = changed(degraded, clean, localiser.tau)
    iou, f1 = iou_f1(shown.mask, truth)
    masks = {"oracle": truth.astype(np.float32)} | {
        name: np.full(truth.shape, level, np.float32) for name, level in (("black", 0.0), ("white", 1.0))
    }
    known = [one for one in (correlation(level, truth) for level in shown.energy) if one is not None]
    return MaskScore(
        dataset, pair.facts.key, pair.facts.photograph, float(truth.mean()), iou, f1, auc(shown.mask, truth),
        f1_all_white=iou_f1(masks["white"], truth)[1], f1_all_black=iou_f1(masks["black"], truth)[1],
        inside_degraded=psnr_where(degraded, clean, truth), inside_restored=psnr_where(restored, clean, truth),
        outside_degraded=psnr_where(degraded, clean, ~truth), outside_restored=psnr_where(restored, clean, ~truth),
        correlation=float(np.mean(known)) if known else None, psnr_found=psnr_rgb(restored, clean),
        **{f"psnr_{name}": psnr_rgb(localiser.restore_with(degraded, masks[name]), clean) for name in VARIANTS},
    )  # fmt: skip


def mask_figures(rows: Sequence[MaskScore], seed: int, resamples: int) -> list[MaskFigure]:
    """Every figure of every set in `rows`, with its interval; figures that no image defines are left out."""
    figures = []
    for dataset in dict.fromkeys(row.dataset for row in rows):
        for name, figure in MASK_FIGURES.items():
            of_set = [(figure(row), row.photograph) for row in rows if row.dataset == dataset]
            found = [(value, photograph) for value, photograph in of_set if value is not None]
            if found:
                values = np.array([value for value, _ in found])
                rng = rng_for(seed, "interval", dataset, "mask")
                ci95 = mean_interval(values, [photograph for _, photograph in found], rng, resamples)
                figures.append(MaskFigure(dataset, name, len(found), float(values.mean()), ci95))
    return figures
