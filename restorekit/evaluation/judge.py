"""A network as the judge sees it: whole images in, restored and scored ones out, here or on all nodes of a cluster."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from torch import nn

from restorekit.errors import RestorekitError
from restorekit.evaluation.pairs import Pair, PairSet
from restorekit.evaluation.score import Restore, Restored, score_pairs, twice
from restorekit.image import to_float
from restorekit.inference import Restorer
from restorekit.inference.batch import on_every_node
from restorekit.inference.self_ensemble import AS_IT_IS, View

Precision = Literal["fp32", "bf16"]


def scoring(model: nn.Module, precision: Precision, spread: bool) -> Callable[[PairSet], Iterator[Restored]]:
    """What scores a set with `model`: here, or with `spread` on the connected Ray cluster, where the set allows it.

    On a cluster every node must find the pairs: shards below an address, or folders that all nodes share.
    """

    def score(pairs: PairSet) -> Iterator[Restored]:
        part = pairs.part
        if part is None or not spread:
            return score_pairs(pairs, restoring(model, precision))

        def work(own: nn.Module, start: int, stop: int) -> Iterator[Restored]:
            of_part = PairSet(pairs.name, pairs.digest, lambda: part.open(start, stop))
            return score_pairs(of_part, restoring(own, precision))

        return _each_once(on_every_node(model, work, part.num_pairs), pairs.name)

    return score


def _each_once(scored: Iterator[Restored], name: str) -> Iterator[Restored]:
    seen = set()
    for restored in scored:
        if restored.pair.facts.key in seen:
            raise twice(restored.pair.facts.key, name)
        seen.add(restored.pair.facts.key)
        yield restored


def restoring(model: nn.Module, precision: Precision, views: Sequence[View] = AS_IT_IS) -> Restore:
    """Restores pairs with `model`, on a GPU if there is one; a mask is passed on only to a network that takes one.

    An image that does not fit whole is streamed, or goes through in tiles where they give what the whole gives; of
    other networks it is refused.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    restorer = Restorer(model, device=device, views=views)
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
