"""Pictures of MADF's inner maps, for the report: the features of the mask, and the scales of the norms."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from restorekit.evaluation.test_sets import Pair
from restorekit.image import to_float
from restorekit.models.madf import MADF
from restorekit.models.madf.network import record_activations

SHOWN_LEVELS = 3  # of the mask's features; coarser levels have only a few pixels
PANEL = 192  # pixels of a panel's longer side
GUTTER = 4


@dataclass(frozen=True)
class FeaturePicture:
    """Panels side by side, uint8 (H, W, 3), with a file name and a caption."""

    name: str
    caption: str
    image: np.ndarray


def feature_pictures(model: nn.Module, pair: Pair) -> list[FeaturePicture]:
    """Pictures for one pair with holes; none for networks other than MADF."""
    if not isinstance(model, MADF) or pair.mask is None:
        return []
    height, width = pair.mask.shape
    device = next(model.parameters()).device
    image = torch.from_numpy(np.ascontiguousarray(to_float(pair.degraded).transpose(2, 0, 1)))[None]
    seen = record_activations(model, image.to(device), torch.from_numpy(pair.mask)[None, None].to(device))
    pictures = []
    for level, features in enumerate(seen.mask_features[:SHOWN_LEVELS], start=1):
        live = [_grey(one[: -(-height >> level) or 1, : -(-width >> level) or 1]) for one in features]
        caption = (
            f"the encoder's features of the mask on level {level}: {len(live)} of them, each from black, 0, to its "
            f"greatest value; the filters at a point are sums of banks weighted by these"
        )
        panels = [_panel(one, height, width) for one in live]
        pictures.append(FeaturePicture(f"mask-features-{level}", caption, _in_rows(panels)))
    for number, scales in enumerate(seen.scales, start=1):
        panels = []
        for place, scale in enumerate(scales):
            level = len(scales) - 1 - place
            cut = scale[: max(1, -(-height >> level + 1)), : max(1, -(-width >> level + 1))]
            panels.append(_panel(_signed(cut), height, width))
        caption = (
            f"refinement {number}, coarse to fine: the factor of its point-wise norm, mean over channels; grey is 1, "
            f"blue less and red more, up to the greatest difference of each panel"
        )
        pictures.append(FeaturePicture(f"norm-scales-{number}", caption, _in_rows(panels)))
    return pictures


def _grey(values: Tensor) -> np.ndarray:
    array = values.numpy()
    return np.repeat((255 * array / max(float(array.max()), 1e-9)).astype(np.uint8)[..., None], 3, axis=2)


def _signed(values: Tensor) -> np.ndarray:
    """The values in colour: red above 1, blue below 1."""
    array = values.numpy() - 1
    share = array / max(float(np.abs(array).max()), 1e-9)
    colours = np.stack([1 + np.minimum(share, 0), 1 - np.abs(share), 1 - np.maximum(share, 0)], axis=2)
    return (220 * colours).astype(np.uint8)


def _panel(image: np.ndarray, height: int, width: int) -> np.ndarray:
    scale = PANEL / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_NEAREST)


def _in_rows(panels: list[np.ndarray]) -> np.ndarray:
    """The panels as one picture, in rows of at most eight."""
    gap = np.full((panels[0].shape[0], GUTTER, 3), 255, np.uint8)
    rows = []
    for start in range(0, len(panels), 8):
        row = panels[start : start + 8]
        row += [np.full_like(panels[0], 255)] * (min(8, len(panels)) - len(row))
        rows.append(np.concatenate([part for panel in row for part in (gap, panel)][1:], axis=1))
    line = np.full((GUTTER, rows[0].shape[1], 3), 255, np.uint8)
    return np.concatenate([part for row in rows for part in (line, row)][1:], axis=0)
