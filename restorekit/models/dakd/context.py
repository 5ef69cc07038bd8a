"""Global context aggregation: gathers from what is clean in the whole image, gives to what is degraded."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

NUM_CONTEXTS = 32  # K
FLOOR = 1e-3  # of the clean share inside the logarithm, so that a mask of ones leaves something to gather from


class ContextMaps(NamedTuple):
    """Where context comes from and where it goes: (B, 1, h, w), detached."""

    gathered: Tensor  # the mean weight of a position, 1 = as much as any other
    given: Tensor  # the mean size of what is added


class GlobalContext(nn.Module):
    """dakd.md 4.2, linear in positions: K sums over all of them, and a mixture of the K back at each.

    It is computed in float32 under mixed precision: bfloat16 cannot hold a sum over all positions.
    """

    def __init__(self, channels: int, contexts: int = NUM_CONTEXTS) -> None:
        super().__init__()
        inner = max(1, channels // 2)
        self.gather = nn.Conv2d(channels, contexts, 1)
        self.spread = nn.Conv2d(channels, contexts, 1)
        self.value = nn.Conv2d(channels, inner, 1)
        self.out = nn.Conv2d(inner, channels, 1)

    def forward(self, features: Tensor, mask: Tensor) -> tuple[Tensor, ContextMaps]:
        """Features (B, C, H, W) of the same shape, unchanged where `mask` (B, 1, H, W) is 0, and the maps."""
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
        """A (B, K, H W): each row adds up to 1 over the positions, and clean ones count a thousand times degraded."""
        clean = torch.log(1 - mask + FLOOR).flatten(2)
        return (self.gather(features).flatten(2) + clean).softmax(dim=2)
