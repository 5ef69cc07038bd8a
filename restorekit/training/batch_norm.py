"""Batch norms over all ranks: mean and variance of the samples of all workers, not of one worker's alone.

As in torch's SyncBatchNorm, which runs on GPUs only; this one computes with any backend, and is tested with gloo. Each
norm exchanges twice as many values as it has channels, twice forwards and twice backwards.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce  # differentiable: the gradient is summed over the ranks, too

from restorekit.errors import RestorekitError


class BatchNormOverRanks(nn.BatchNorm2d):
    """A BatchNorm2d that normalises with the statistics of all ranks while it learns."""

    counts = True  # whether this rank's samples count; not where a rank without a sample repeats one

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        values = input if input.dtype == torch.float64 else input.float()
        size = values.new_full((1,), values.numel() / values.shape[1])
        sums = all_reduce(torch.cat([values.sum((0, 2, 3)), size]) * self.counts)
        count = sums[-1]
        mean = sums[:-1] / count
        centred = values - mean[:, None, None]
        variance = all_reduce(centred.square().sum((0, 2, 3)) * self.counts) / count
        self._remember(mean.detach(), (variance * count / (count - 1).clamp(min=1)).detach())
        scale = torch.rsqrt(variance + self.eps)
        if self.affine:
            scale = scale * self.weight
        normed = centred * scale[:, None, None]
        if self.affine:
            normed = normed + self.bias[:, None, None]
        return normed.to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        """Moves the running statistics, as BatchNorm2d does."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(variance.to(self.running_var.dtype), self.momentum)


def over_ranks(network: nn.Module) -> list[BatchNormOverRanks]:
    """Makes every BatchNorm2d of `network` take the statistics of all ranks; names and values of its tensors stay.

    Every rank then calls the network equally often. Returns the norms; raises RestorekitError where there are none.
    """
    norms = [module for module in network.modules() if type(module) is nn.BatchNorm2d]
    if not norms:
        raise RestorekitError("train.sync_batch_norm: this network has no batch norms; leave the setting out")
    for norm in norms:
        norm.__class__ = BatchNormOverRanks
    return cast(list[BatchNormOverRanks], norms)
