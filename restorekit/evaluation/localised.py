"""A network that localises, asked for all that it shows of an image: mask, gates, where context comes from and goes."""

from contextlib import AbstractContextManager
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from restorekit.evaluation.masks import Localised, Localiser
from restorekit.image import to_float, to_uint8
from restorekit.models.dakd import DAKD, DakdResult


def localiser_of(model: nn.Module, precision: Literal["fp32", "bf16"]) -> Localiser | None:
    """The localiser that a network is, or None; on a GPU if there is one."""
    descriptor: Any = model.descriptor
    return NetworkLocaliser(model, precision) if descriptor.localises else None


class NetworkLocaliser:
    """DAKD as `evaluation.masks` asks it; whole images only."""

    def __init__(self, model: nn.Module, precision: Literal["fp32", "bf16"]) -> None:
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = cast(DAKD, model).to(self._device).eval()
        self._precision = precision
        self.tau = float(model.tau)  # type: ignore[arg-type]

    def locate(self, degraded: np.ndarray) -> Localised:
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
        return Localised(
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
    """(1, 1, h, w) of the padded image at a smaller scale, as (H, W): scaled up, with what was padded cut off."""
    factor = max(1, (size[0] + -size[0] % 4) // values.shape[-2])
    large = values.float()
    if factor > 1:
        large = functional.interpolate(large, scale_factor=float(factor), mode="bilinear", align_corners=False)
    return large[0, 0, : size[0], : size[1]].cpu().numpy()
