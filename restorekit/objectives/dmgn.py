"""DMGN's objective: L1 and perceptual distances of both backgrounds and of the noise image, and a log-GAN (dmgn.md 8).

G = w_adv L_adv + 100 [ L1(B) + L1(Bc) + L1(R) + 0.2 (P(B) + P(Bc) + P(R)) ]; config.dmgn.DmgnObjective has the weights.
"""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from restorekit.config.dmgn import DmgnRun
from restorekit.losses.adversarial import PatchDiscriminator, critic_loss, generator_loss
from restorekit.losses.features import Perceptual
from restorekit.losses.pixel import huber, l1, log_mse
from restorekit.models.dmgn import DmgnResult
from restorekit.models.trunks import create_trunk
from restorekit.objectives.objective import Objective, Terms

HUBER_DELTA = 0.2  # where huber turns from square to absolute, on the scale of [-1, 1]
PAPER_SCALE = 100.0  # makes gradient norms hundreds, thousands at first: a grad_clip below 50 only normalises


class DmgnLosses(Objective):
    """Terms "background", "coarse", "noise", "perceptual" and "adversarial"; a term of weight 0 is left out.

    The target of the noise image R is, for reflection, the batch's "layer" if the batch has a layer; for rain and haze,
    clip(degraded - clean, 0, 1) on black.
    """

    def __init__(self, run: DmgnRun) -> None:
        super().__init__()
        self.settings = settings = run.objective
        self.variant = run.options.variant
        self.critic = PatchDiscriminator() if settings.adversarial else None
        self.perceptual: Perceptual | None = None
        if settings.perceptual:
            self.perceptual = Perceptual(create_trunk(settings.perceptual_trunk, settings.perceptual_weights))

    def forward(self, model: nn.Module, batch: dict[str, Tensor]) -> Terms:
        image, clean = batch["degraded"] * 2 - 1, batch["clean"] * 2 - 1
        outputs: DmgnResult = model(image)
        weights = self.settings
        compared = {"background": (1.0, outputs.background, clean)}
        if weights.coarse:
            compared["coarse"] = (weights.coarse, outputs.coarse, clean)
        noise = self.noise_target(batch)
        if weights.noise and noise is not None:
            compared["noise"] = (weights.noise, outputs.noise, noise)
        losses = {
            name: PAPER_SCALE * weight * self.distance(found, wanted)
            for name, (weight, found, wanted) in compared.items()
        }
        if self.perceptual is not None:
            distances = [weight * self.perceptual(found, wanted) for weight, found, wanted in compared.values()]
            losses["perceptual"] = PAPER_SCALE * weights.perceptual * torch.stack(distances).sum()
        if self.critic is not None:
            losses["adversarial"] = weights.adversarial * generator_loss(
                self._judge(self.critic, image, outputs.background)
            )
        restored = ((outputs.background.detach().float() + 1) / 2).clamp(0, 1)
        return Terms(losses, restored, outputs)

    def critic_losses(self, critic: nn.Module, batch: dict[str, Tensor], outputs: DmgnResult) -> dict[str, Tensor]:
        image, clean = batch["degraded"] * 2 - 1, batch["clean"] * 2 - 1
        judged = critic(torch.cat([image, image]), torch.cat([clean, outputs.background.detach()]))
        return {"critic": critic_loss(*judged.chunk(2))}

    def distance(self, found: Tensor, wanted: Tensor) -> Tensor:
        """The pixel distance of two images in [-1, 1]."""
        if self.settings.pixel == "huber":
            return huber(found, wanted, HUBER_DELTA)
        if self.settings.pixel == "psnr":
            return log_mse(found / 2, wanted / 2)
        return l1(found, wanted)

    def noise_target(self, batch: dict[str, Tensor]) -> Tensor | None:
        """R* (B, 3, H, W) in [-1, 1], or None for a reflection without a known layer."""
        if self.variant == "reflection":
            return batch["layer"] * 2 - 1 if "layer" in batch else None
        return (batch["degraded"] - batch["clean"]).clamp(0, 1) * 2 - 1

    def _judge(self, critic: nn.Module, image: Tensor, background: Tensor) -> Tensor:
        """The critic's logits with its parameters held constant."""
        constants = {name: value.detach() for name, value in critic.state_dict().items()}
        return functional_call(critic, constants, (image, background))


LOSSES = DmgnLosses
