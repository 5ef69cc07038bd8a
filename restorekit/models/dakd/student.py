"""DAKD's student restores an image, guided by the teacher's mask, with gated convolutions and global context."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restorekit.config.dakd import DakdOptions
from restorekit.models.dakd.teacher import SCALES, Decoder, Encoder, Features, Fuse

SLOPE = 0.2  # of the gated convolution's LeakyReLU
NUM_CONTEXTS = 32  # K
FLOOR = 1e-3  # added to the clean share inside the logarithm, so that a mask of ones gives finite weights


class GatedConv(nn.Module):
    """Mask-guided gated convolution (dakd.md 4.1): x + LeakyReLU(W_f * x) . sigmoid(W_g * [x, m])."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.feature = nn.Conv2d(channels, channels, 3, padding=1)
        self.gate = nn.Conv2d(channels + 1, channels, 3, padding=1)

    def forward(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, C, H, W), and the gate's mean over channels (B, 1, H, W), detached; `mask` is (B, 1, H, W)."""
        gate = self.opening(features, mask.to(features.dtype))
        gated = features + F.leaky_relu(self.feature(features), SLOPE) * gate
        return gated, gate.detach().mean(dim=1, keepdim=True)

    def opening(self, features: Tensor, mask: Tensor) -> Tensor:
        """The gate (B, C, H, W) in (0, 1)."""
        return self.gate(torch.cat([features, mask], dim=1)).sigmoid()


class ContextMaps(NamedTuple):
    """Maps (B, 1, h, w), detached: positions that context is gathered from, and positions that context is added to."""

    gathered: Tensor  # mean weight of a position; 1 = the average over positions
    given: Tensor  # mean absolute value that is added


class GlobalContext(nn.Module):
    """Global context (dakd.md 4.2), linear in positions: K sums over all positions, and a mixture of the K at each.

    The computation is in float32 under mixed precision, because bfloat16 cannot hold a sum over all positions.
    """

    def __init__(self, channels: int, contexts: int = NUM_CONTEXTS) -> None:
        super().__init__()
        inner = max(1, channels // 2)
        self.gather = nn.Conv2d(channels, contexts, 1)
        self.spread = nn.Conv2d(channels, contexts, 1)
        self.value = nn.Conv2d(channels, inner, 1)
        self.out = nn.Conv2d(inner, channels, 1)

    def forward(self, features: Tensor, mask: Tensor) -> tuple[Tensor, ContextMaps]:
        """Features (B, C, H, W), unchanged where `mask` (B, 1, H, W) is 0, and the context maps."""
        with torch.autocast(features.device.type, enabled=False):
            inputs, mask = features.float(), mask.float()
            weights = self.weights(inputs, mask)
            contexts = torch.einsum("bkn,bcn->bkc", weights, self.value(inputs).flatten(2))
            shares = self.spread(inputs).flatten(2).softmax(dim=1)
            mixed = torch.einsum("bkn,bkc->bcn", shares, contexts).unflatten(2, features.shape[-2:])
            added = mask * self.out(mixed)
            positions = weights.shape[-1]
            gathered = (weights.detach().mean(dim=1, keepdim=True) * positions).unflatten(2, features.shape[-2:])
            given = added.detach().abs().mean(dim=1, keepdim=True)
            return (inputs + added).to(features.dtype), ContextMaps(gathered, given)

    def weights(self, features: Tensor, mask: Tensor) -> Tensor:
        """A (B, K, H W): each row sums to 1 over positions; a clean position counts a thousand times a degraded one."""
        clean = torch.log(1 - mask + FLOOR).flatten(2)
        return (self.gather(features).flatten(2) + clean).softmax(dim=2)


class Restoration(NamedTuple):
    """The student's outputs."""

    residual: Tensor  # (B, 3, H, W)
    encoder: list[Tensor]  # E1 to E4
    gates: list[Tensor]  # (B, 1, h, w), means over the channels of g3, g2, g1, detached
    context: ContextMaps | None


class Fusion(nn.Module):
    """Ablation A8: adds the teacher's features to the student's through a 1x1 convolution, at run time."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, own: Tensor, teacher: Tensor) -> Tensor:
        return own + self.mix(torch.cat([own, teacher.to(own.dtype)], dim=1))


class Student(nn.Module):
    """Maps an image and its mask to the residual that is added to the image."""

    def __init__(self, options: DakdOptions) -> None:
        super().__init__()
        width, fusion = options.width, options.fusion
        widths = [4 * width, 2 * width, width]
        self.mask_input = options.mask_input
        self.encoder = Encoder(3 + options.mask_input, width)
        self.context = GlobalContext(4 * width) if options.context else None
        self.decoder = Decoder(3, width)
        self.gates = nn.ModuleList(GatedConv(channels) for channels in widths if options.gates != "none")
        self.fuse_encoder = nn.ModuleList(Fusion(channels) for channels in widths[::-1] if fusion)
        self.fuse_decoder = nn.ModuleList(Fusion(channels) for channels in widths if fusion)

    def forward(self, image: Tensor, mask: Tensor, teacher: Features, keep: bool = True) -> Restoration:
        """The residual for `mask` (B, 1, H, W) in [0, 1]; only the fusion uses the teacher's features.

        Without `keep` the student's own features are freed as soon as they are used.
        """
        masks = {scale: mask if scale == 1 else F.avg_pool2d(mask, scale) for scale in SCALES}
        fuse = self._fusing(self.fuse_encoder, teacher.encoder)
        encoded, skips = self.encoder(torch.cat([image, mask], dim=1) if self.mask_input else image, keep, fuse)
        features, context = skips.pop(), None
        if self.context is not None:
            features, context = self.context(features, masks[4])
        fuse = self._fusing(self.fuse_decoder, teacher.decoder)
        gates: list[Tensor] = []
        for number, scale in enumerate(SCALES[::-1]):
            if number:
                features = self.decoder.upwards(number - 1, features, skips.pop())
            features = self.decoder.scale(number, features)
            if fuse is not None:
                features = fuse(number, features)
            if self.gates:
                features, gate = self.gates[number](features, masks[scale])
                gates.append(gate)
        return Restoration(self.decoder.finish(features, image), encoded, gates, context)

    def _fusing(self, links: nn.ModuleList, teacher: list[Tensor]) -> Fuse | None:
        return (lambda number, own: links[number](own, teacher[number])) if links else None
