"""Loads a registered model for MLflow from safetensors and JSON, with restorekit's own code and no pickle.

`mlflow models serve --env-manager local` takes {"inputs": [photo, ...]} and answers {"predictions": [...]}, each photo
nested lists of H x W x 3 whole numbers from 0 to 255.
"""

from pathlib import Path
from typing import Any

import numpy as np

from restorekit.errors import RestorekitError
from restorekit.image import to_float, to_uint8
from restorekit.inference import Restorer
from restorekit.models.checkpoint import load_model


class RestorationPyfunc:
    """The object behind `mlflow.pyfunc.load_model(...).predict`."""

    def __init__(self, folder: Path) -> None:
        model, self.record = load_model(folder)
        self._restorer = Restorer(model)

    def predict(self, model_input: Any) -> np.ndarray:
        """The restored images (N, H, W, 3), sRGB: uint8 for whole numbers, float32 in [0, 1] for floats in [0, 1].

        A network that fills holes takes (N, H, W, 4): the last channel is above 0 where something is missing.
        """
        images, channels = np.asarray(model_input), 4 if self._restorer.descriptor.takes_mask else 3
        if images.dtype.kind in "iu" and images.size and images.min() >= 0 and images.max() <= 255:
            images = images.astype(np.uint8)
        if (
            images.ndim != 4
            or images.shape[-1] != channels
            or not (images.dtype == np.uint8 or images.dtype.kind == "f")
        ):
            last = "; the fourth channel is the mask" if channels == 4 else ""
            raise RestorekitError(
                f"this model takes images (N, H, W, {channels}), whole numbers from 0 to 255 or floats from 0 to 1, "
                f"not {images.dtype} {images.shape}{last}"
            )
        restored = np.empty((*images.shape[:3], 3), np.uint8 if images.dtype == np.uint8 else np.float32)
        for index, image in enumerate(images):
            restored[index] = self._restore(image)
        return restored

    def _restore(self, image: np.ndarray) -> np.ndarray:
        pixels, mask = np.ascontiguousarray(image[..., :3]), None
        if self._restorer.descriptor.takes_mask:
            mask = (image[..., 3] > 0).astype(np.float32)
        if image.dtype == np.uint8:
            return to_uint8(self._restorer.restore(to_float(pixels), mask))
        return self._restorer.restore(pixels.astype(np.float32), mask)


def _load_pyfunc(path: str) -> RestorationPyfunc:
    """The model in a folder; MLflow looks for this function in a loader module."""
    return RestorationPyfunc(Path(path))
