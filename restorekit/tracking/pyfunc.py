"""Loads a registered model for MLflow from safetensors and JSON, with restorekit's own code and no pickle."""

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
        """The restored images (N, H, W, 3), sRGB: uint8 for uint8, float32 in [0, 1] for floats in [0, 1]."""
        images = np.asarray(model_input)
        if images.ndim != 4 or images.shape[-1] != 3 or not (images.dtype == np.uint8 or images.dtype.kind == "f"):
            raise RestorekitError(
                f"this model takes images (N, H, W, 3), uint8 or float in [0, 1], not {images.dtype} {images.shape}"
            )
        restored = np.empty(images.shape, np.uint8 if images.dtype == np.uint8 else np.float32)
        for index, image in enumerate(images):
            restored[index] = self._restore(image)
        return restored

    def _restore(self, image: np.ndarray) -> np.ndarray:
        if image.dtype == np.uint8:
            return to_uint8(self._restorer.restore(to_float(image)))
        return self._restorer.restore(image.astype(np.float32))


def _load_pyfunc(path: str) -> RestorationPyfunc:
    """The model in a folder; MLflow looks for this function in a loader module."""
    return RestorationPyfunc(Path(path))
