"""Runs a network over a list on all nodes of a cluster, with Ray Data; results keep the list's order."""

import logging
import pickle
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any, TypeVar

import torch
from torch import nn

from restorekit.cluster import room_for, rows_of
from restorekit.errors import RestorekitError

R = TypeVar("R")
# Takes a network, `start` and `stop`; gives the results of items `start` to `stop` of the function's own list.
Work = Callable[[nn.Module, int, int], Iterable[R]]
PARTS_PER_WORKER = 4  # several, so that a slow node does not keep the others waiting


def on_every_node(model: nn.Module, work: Work[R], num_items: int) -> Iterator[R]:
    """The results of all items in their order, from a connected Ray cluster.

    A worker takes a GPU where the cluster has some, else one CPU and one thread; `work` must find its items on every
    node. A RestorekitError that `work` raises is raised here.
    """
    import ray
    import ray.data

    gpus = room_for(0.0, 1.0)
    workers = gpus or room_for(1.0, 0.0)
    if workers == 0:
        raise RestorekitError("the cluster has neither a GPU nor a CPU for workers: add nodes")
    parts = min(num_items, workers * PARTS_PER_WORKER)
    edges = [num_items * part // parts for part in range(parts + 1)]
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # its plans and timings are in Ray's own log files
    ray.data.DataContext.get_current().execution_options.preserve_order = True
    ranges = [{"start": start, "stop": stop} for start, stop in pairwise(edges)]
    resources: dict[str, Any] = {"num_gpus": 1} if gpus else {"num_cpus": 1}
    # The input holds the ranges: a task that makes them would wait for ever for a CPU, because workers hold all CPUs.
    done = ray.data.from_items(ranges, override_num_blocks=parts).flat_map(
        _Worker,
        fn_constructor_args=(ray.put(model), work),
        compute=ray.data.ActorPoolStrategy(size=min(workers, parts)),
        **resources,
    )
    for row in rows_of(done):
        if row["problem"]:
            raise RestorekitError(row["problem"])
        yield pickle.loads(row["result"])  # made by our own workers


class _Worker:
    """One process of the pool, which holds a copy of the network."""

    def __init__(self, model: Any, work: Work[Any]) -> None:
        import ray

        if not torch.cuda.is_available():
            torch.set_num_threads(1)
        self._model, self._work = ray.get(model), work

    def __call__(self, part: dict[str, Any]) -> Iterator[dict[str, Any]]:
        try:
            for result in self._work(self._model, int(part["start"]), int(part["stop"])):
                yield {"problem": "", "result": pickle.dumps(result)}
        except RestorekitError as error:  # Ray Data would wrap an exception into a traceback
            yield {"problem": str(error), "result": b""}
