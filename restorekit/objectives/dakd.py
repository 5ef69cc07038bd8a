"""DAKD in two phases: the teacher learns the mask, then the frozen teacher guides the student (dakd.md 6)."""

from typing import Any

import torch
from torch import Tensor, nn

from restorekit.config.dakd import DakdRun
from restorekit.losses.features import distillation
from restorekit.losses.pixel import cross_entropy, huber, l1, log_mse, mask_target, rare_dice
from restorekit.metrics.mask_metrics import iou_f1
from restorekit.models.dakd import DAKD, DakdResult
from restorekit.objectives.objective import Objective, Phase, Terms

LOCALISE, RESTORE = 0, 1  # phases
DICE = 0.5  # weight of the Dice loss, which counts images with less than a tenth of degraded pixels

# Settings that determine the teacher. Its initial weights, which depend on more options, are compared separately.
LOCALISES_BY = (
    "options.width", "options.tau", "options.negative_slope",
    "objective.localise_steps", "objective.patience", "objective.white_weight",
)  # fmt: skip


class DakdLosses(Objective):
    """Terms "cross_entropy" and "dice" in the first phase, "pixel" and "distillation" in the second.

    A term of weight 0 is left out. `tau` is the model's option: a pixel with a larger difference is white in the mask.
    """

    figure_names = ("mask_f1", "mask_iou")

    def __init__(self, run: DakdRun) -> None:
        super().__init__()
        self.settings, self.tau = run.objective, run.options.tau
        self.critic = None
        self.distillation = distillation
        self.phase = LOCALISE
        self.phases = (
            Phase(
                "localise", ("teacher.",), self.settings.localise_steps,
                watch="mask_f1", patience=self.settings.patience, settings=LOCALISES_BY,
            ),
            Phase("restore", ("student.",)),
        )  # fmt: skip

    def compile_losses(self) -> None:
        self.distillation = torch.compile(distillation)

    def enter(self, phase: int, model: nn.Module) -> None:
        self.phase = phase
        if phase == RESTORE and self.settings.warm_start:
            assert isinstance(model, DAKD)
            model.start_from_teacher()

    def forward(self, model: nn.Module, batch: dict[str, Tensor]) -> Terms:
        localising = self.phase == LOCALISE
        result: DakdResult = model(batch["degraded"], only_mask=localising)
        if localising:
            return Terms(self._mask_terms(result, batch), batch["degraded"].detach(), result)
        assert result.restored is not None
        losses = {"pixel": self.distance(result.restored, batch["clean"])}
        if self.settings.distillation:
            distance = self.distillation(result.student, result.teacher.encoder, self.settings.attentive)
            losses["distillation"] = self.settings.distillation * distance
        return Terms(losses, result.restored.detach().float().clamp(0, 1), result)

    def figures(self, model: nn.Module, batch: dict[str, Tensor]) -> dict[str, float]:
        """F1 and intersection over union of the mask predicted for one image."""
        found: Any = model(batch["degraded"], only_mask=True)
        wanted = mask_target(batch["degraded"], batch["clean"], self.tau)[0, 0].bool().cpu().numpy()
        iou, f1 = iou_f1(found.mask[0, 0].float().cpu().numpy(), wanted)
        return {"mask_f1": f1, "mask_iou": iou}

    def distance(self, found: Tensor, wanted: Tensor) -> Tensor:
        """The pixel distance of two images in [0, 1]."""
        if self.settings.pixel == "huber":
            return huber(found, wanted, self.settings.huber_delta)
        if self.settings.pixel == "psnr":
            return log_mse(found, wanted)
        return l1(found, wanted)

    def _mask_terms(self, result: DakdResult, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        wanted = mask_target(batch["degraded"], batch["clean"], self.tau)
        return {
            "cross_entropy": cross_entropy(result.logit, wanted, self.settings.white_weight),
            "dice": DICE * rare_dice(result.logit, wanted),
        }


LOSSES = DakdLosses
