"""MADF's objective (madf.md 7): holes, valid pixels, contents, styles and total variation, along the cascade.

With `incremental` supervision, pixel terms compare every output, the perceptual term compares every refinement, and
style and total variation apply to the last output. Otherwise all terms apply to the last output.
"""

import torch
from torch import Tensor, nn

from restorekit.config.madf import MadfRun
from restorekit.losses.features import PooledFeatures, content, style
from restorekit.losses.pixel import l1, total_variation
from restorekit.models.madf import MadfResult
from restorekit.models.madf.filling import ColourRange
from restorekit.models.trunks import create_trunk
from restorekit.objectives.objective import Objective, Terms

HOLE, VALID, TOTAL_VARIATION = 6.0, 1.0, 0.1  # weights, the paper's


class MadfLosses(Objective):
    """Terms "hole", "valid", "perceptual", "style" and "tv"; a term of weight 0 is left out.

    The batch's "mask" is 1 in holes, and pixels of "degraded" in holes are not used. All distances are in
    ImageNet-normalised colours. A composite is an output with the photograph's own pixels outside holes.
    """

    def __init__(self, run: MadfRun) -> None:
        super().__init__()
        self.settings = settings = run.objective
        self.critic = None
        self.range = ColourRange()
        last, weights = run.options.refinements, settings
        pixels = tuple(range(last + 1)) if weights.incremental else (last,)
        contents = (pixels[1:] or pixels) if weights.incremental else (last,)
        # The released code compares the style of the first refinement, not of the last (madf.md 7).
        styled = 1 if weights.style_on == "out_1" else last
        self.supervised = {"pixels": pixels, "perceptual": contents, "style": (styled,)}
        self.features: PooledFeatures | None = None
        if settings.perceptual or settings.style:
            self.features = PooledFeatures(create_trunk(settings.trunk, settings.trunk_weights))

    def forward(self, model: nn.Module, batch: dict[str, Tensor]) -> Terms:
        clean, missing = self.range.normalised(batch["clean"]), batch["mask"]
        result: MadfResult = model(self.range.normalised(batch["degraded"]), 1 - missing)
        outputs = [output.float() for output in result.outputs]
        composites = [torch.where(missing == 0, clean, torch.lerp(clean, output, missing)) for output in outputs]
        losses = {}
        own = [outputs[index] for index in self.supervised["pixels"]]
        losses["hole"] = HOLE * _sum([l1(missing * output, missing * clean) for output in own])
        valid = 1 - missing
        losses["valid"] = VALID * _sum([l1(valid * output, valid * clean) for output in own])
        if self.features is not None:
            losses |= self._seen(self.features, clean, outputs, composites)
        losses["tv"] = TOTAL_VARIATION * total_variation(composites[-1])
        return Terms(losses, self.range.colours(composites[-1].detach()).clamp(0, 1), outputs)

    def _seen(
        self, features: PooledFeatures, clean: Tensor, outputs: list[Tensor], composites: list[Tensor]
    ) -> dict[str, Tensor]:
        weights = self.settings
        perceptual = self.supervised["perceptual"] if weights.perceptual else ()
        styled = self.supervised["style"] if weights.style else ()
        with torch.no_grad():
            wanted = features(clean)
        contents, styles = [], []
        for index in sorted({*perceptual, *styled}):
            for image in (outputs[index], composites[index]):
                levels = features(image)
                if index in perceptual:
                    contents.append(content(levels, wanted))
                if index in styled:
                    styles.append(style(levels, wanted))
        losses = {}
        if contents:
            losses["perceptual"] = weights.perceptual * _sum(contents)
        if styles:
            losses["style"] = weights.style * _sum(styles)
        return losses


def _sum(terms: list[Tensor]) -> Tensor:
    return torch.stack(terms).sum()


LOSSES = MadfLosses
