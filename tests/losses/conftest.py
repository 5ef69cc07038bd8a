"""Tests of tensors run on one thread, from one seed."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(20261120)
    yield
    torch.set_num_threads(before)
