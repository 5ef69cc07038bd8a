"""GLSGN's objective: each path's image at its own scale, the fused image, and the latter's features (glsgn.md 7).

L = w_paths sum over g, 1, 2, 3 of D(B_k, clean at that scale) + w_fused D(B_out, clean) + w_perceptual P(B_out, clean),
with D the mean absolute difference, or Huber's, in [0, 1]. No GAN.
"""

import torch
from torch import Tensor, nn

from restorekit.config.glsgn import GlsgnRun
from restorekit.losses.features import FeatureDistance
from restorekit.losses.pixel import huber, l1, log_mse
from restorekit.metrics.psnr import CAP_DB
from restorekit.models.glsgn import GLSGN, GlsgnResult
from restorekit.models.glsgn.pyramid import scales
from restorekit.models.trunks import create_trunk
from restorekit.objectives.objective import Objective, Terms

PATHS = ("path1", "path2", "path3")
FUSED = 2.0  # weight of the fused image
HUBER_DELTA = 0.1  # where huber turns from square to absolute, on the scale of [0, 1]
PERCEPTUAL_CROP = 512  # pixels of the random square whose features are compared


class GlsgnLosses(Objective):
    """Terms "fused", "path1", "path2", "path3", "global" and "perceptual"; a term of weight 0 is left out.

    `figures` are the PSNR of each path's image against the clean image at that scale, before rounding to 8 bits.
    """

    critic = None

    def __init__(self, run: GlsgnRun) -> None:
        super().__init__()
        self.settings = settings = run.objective
        if run.options.design == "stepwise":
            self.figure_names = (*PATHS, "global") if run.options.global_path else PATHS
        self.perceptual: FeatureDistance | None = None
        if settings.perceptual:
            self.perceptual = FeatureDistance(create_trunk(settings.perceptual_trunk, settings.perceptual_weights))

    def forward(self, model: nn.Module, batch: dict[str, Tensor]) -> Terms:
        outputs: GlsgnResult = model(batch["degraded"])
        weights = self.settings
        losses = {"fused": FUSED * self.distance(outputs.restored, batch["clean"])}
        if weights.paths:
            for name, found, wanted in _compared(outputs, batch["clean"]):
                losses[name] = weights.paths * self.distance(found, wanted)
        if self.perceptual is not None:
            found, wanted = self._crops(outputs.restored, batch["clean"])
            losses["perceptual"] = weights.perceptual * self.perceptual(found, wanted)
        return Terms(losses, outputs.restored.detach().float().clamp(0, 1), outputs)

    def figures(self, model: nn.Module, batch: dict[str, Tensor]) -> dict[str, float]:
        if not self.figure_names:
            return {}
        assert isinstance(model, GLSGN)
        return {
            name: _psnr(found, wanted) for name, found, wanted in _compared(model(batch["degraded"]), batch["clean"])
        }

    def distance(self, found: Tensor, wanted: Tensor) -> Tensor:
        """The pixel distance of two images in [0, 1]."""
        if self.settings.pixel == "huber":
            return huber(found, wanted, HUBER_DELTA)
        if self.settings.pixel == "psnr":
            return log_mse(found, wanted)
        return l1(found, wanted)

    def _crops(self, *images: Tensor) -> list[Tensor]:
        """The same random square of each image, or the whole image if it is smaller."""
        side = PERCEPTUAL_CROP
        height, width = images[0].shape[-2:]
        top = int(torch.randint(max(1, height - side + 1), ()))
        left = int(torch.randint(max(1, width - side + 1), ()))
        return [image[..., top : top + side, left : left + side] for image in images]


def _compared(outputs: GlsgnResult, clean: Tensor) -> list[tuple[str, Tensor, Tensor]]:
    """The name and image of each path, with the clean image at the path's scale."""
    targets = scales(clean)
    compared = list(zip(PATHS, outputs.paths, targets, strict=True)) if outputs.paths else []
    return [*compared, *([] if outputs.reduced is None else [("global", outputs.reduced, targets[2])])]


def _psnr(found: Tensor, wanted: Tensor) -> float:
    error = (found.float().clamp(0, 1) - wanted.float()).square().mean()
    return min(CAP_DB, -10 * float(torch.log10(error.clamp_min(1e-12))))


LOSSES = GlsgnLosses
