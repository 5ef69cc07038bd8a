"""A network over a list on a cluster: what is left unfinished ends with the cluster."""

import threading

import pytest
import torch

from restorekit.cluster import ray_cluster
from restorekit.inference.batch import on_every_node


def test_an_unfinished_iteration_ends_before_its_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with ray_cluster(2):
        held = on_every_node(torch.nn.Identity(), lambda model, start, stop: range(start, stop), 200)
        assert next(held) == 0
        assert executors()
    assert not executors()
    assert list(held) == []


def executors() -> list[threading.Thread]:
    """The threads of Ray Data's iterations; a thread that outlives its cluster can end the process."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("StreamingExecutor")]
