"""A network as the judge sees it: whole images in, restored ones out, at the precision that is asked for."""

from typing import Literal

import numpy as np
import torch
from torch import nn

from restorekit.errors import RestorekitError
from restorekit.evaluation.pairs import Pair
from restorekit.evaluation.score import Restore
from restorekit.image import to_float
from restorekit.inference import Restorer


def restoring(model: nn.Module, precision: Literal["fp32", "bf16"]) -> Restore:
    """Restores pairs with `model`, on a GPU if there is one; a mask is passed on only to a network that takes one.

    An image that does not fit whole is streamed, or goes through in tiles where they give what the whole gives; of
    other networks it is refused.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    restorer = Restorer(model, device=device)
    takes_mask = bool(model.descriptor.takes_mask)  # type: ignore[union-attr]

    def restore(pair: Pair) -> np.ndarray:
        height, width = pair.degraded.shape[:2]
        if restorer.descriptor.tiling != "exact" and restorer.layout(height, width).num_tiles > 1:
            raise RestorekitError(
                f"{width} x {height} pixels do not go through the network whole with the memory that is free, and a "
                f"score of tiles is another score: free memory, or lower the data set's short_side"
            )
        mask = pair.mask if takes_mask else None
        with torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16"):
            return restorer.restore(to_float(pair.degraded), mask)

    return restore
