"""Scores of whole images: each test image is restored once, quantised to 8 bits, and scored before and after.

The network runs in this process or on all nodes of a cluster, and so do the further passes that studies take.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from restorekit.errors import RestorekitError
from restorekit.evaluation.opponents import baseline
from restorekit.evaluation.results import ImageScore
from restorekit.evaluation.test_sets import Pair, PairSet
from restorekit.image import to_float, to_uint8
from restorekit.inference import Restorer
from restorekit.inference.batch import on_every_node
from restorekit.inference.self_ensemble import AS_IT_IS, View
from restorekit.metrics.protocols import score

Precision = Literal["fp32", "bf16"]
Restore = Callable[[Pair], np.ndarray]  # float32 (H, W, 3) in [0, 1], of the pair's size


@dataclass(frozen=True)
class Restored:
    """A pair, its restored image, uint8 (H, W, 3), its scores, and the result of each further look."""

    pair: Pair
    image: np.ndarray
    score: ImageScore
    seen: tuple[Any, ...] = ()


# The work of a study on one restored pair; looks and their results travel between nodes.
Look = Callable[[Restored], Any]
LookWith = Callable[[nn.Module], Look]  # with the copy of the network that the node has


def scoring(
    model: nn.Module, precision: Precision, spread: bool
) -> Callable[[PairSet, Sequence[LookWith]], Iterator[Restored]]:
    """A function that scores a set with `model`: in this process, or with `spread` on the connected Ray cluster.

    Each restored pair has the result of every look. On a cluster every node must find the pairs: shards below an
    address, or folders that all nodes share. Sets that cannot be opened in parts are scored in this process.
    """

    def score_set(pairs: PairSet, looks: Sequence[LookWith] = ()) -> Iterator[Restored]:
        part = pairs.part
        if part is None or not spread:
            return _seen(score_pairs(pairs, restoring(model, precision)), model, looks)

        def work(own: nn.Module, start: int, stop: int) -> Iterator[Restored]:
            of_part = PairSet(pairs.name, pairs.digest, lambda: part.open(start, stop))
            return _seen(score_pairs(of_part, restoring(own, precision)), own, looks)

        return _each_once(on_every_node(model, work, part.num_pairs), pairs.name)

    return score_set


def _seen(scored: Iterator[Restored], model: nn.Module, looks: Sequence[LookWith]) -> Iterator[Restored]:
    opened = [look(model) for look in looks]
    for restored in scored:
        yield replace(restored, seen=tuple(look(restored) for look in opened))


def restoring(model: nn.Module, precision: Precision, views: Sequence[View] = AS_IT_IS) -> Restore:
    """A function that restores a pair with `model`, on a GPU if there is one; only models that take masks get them.

    An image that does not fit whole is streamed, or cut into tiles if tiles give the same result as the whole. For
    other networks it raises a RestorekitError.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    restorer = Restorer(model, device=device, views=views, precision=precision)
    takes_mask = bool(model.descriptor.takes_mask)  # type: ignore[union-attr]

    def restore(pair: Pair) -> np.ndarray:
        height, width = pair.degraded.shape[:2]
        if restorer.descriptor.tiling != "exact" and restorer.layout(height, width).num_tiles > 1:
            raise RestorekitError(
                f"{width} x {height} pixels do not go through the network whole with the memory that is free, and a "
                f"score of tiles is another score: free memory, or lower the data set's short_side"
            )
        mask = pair.mask if takes_mask else None
        return restorer.restore(to_float(pair.degraded), mask)

    return restore


def score_pairs(pairs: PairSet, restore: Restore, protocols: Iterable[str] | None = None) -> Iterator[Restored]:
    """Restores the pairs one by one, and scores each and its baseline by `protocols`, by default all.

    Raises a RestorekitError for an empty set or a key that occurs twice.
    """
    names, seen = None if protocols is None else tuple(protocols), set()
    for pair in pairs.open():
        if pair.facts.key in seen:
            raise _twice(pair.facts.key, pairs.name)
        seen.add(pair.facts.key)
        image = to_uint8(restore(pair))
        height, width = pair.clean.shape[:2]
        before, after = score(baseline(pair), pair.clean, names), score(image, pair.clean, names)
        yield Restored(pair, image, ImageScore(pairs.name, pair.facts, width, height, before, after))
    if not seen:
        raise RestorekitError(f"{pairs.name} holds no images: run `dvc repro synthesize`")


def _each_once(scored: Iterator[Restored], name: str) -> Iterator[Restored]:
    seen = set()
    for restored in scored:
        if restored.pair.facts.key in seen:
            raise _twice(restored.pair.facts.key, name)
        seen.add(restored.pair.facts.key)
        yield restored


def _twice(key: str, name: str) -> RestorekitError:
    return RestorekitError(f"'{key}' is twice in {name}: every test image must have a key of its own")
