"""A training's process keeps the memory that a step frees."""

import platform
import subprocess
import sys

import pytest

PAGES = """
import resource
import numpy as np
from restorekit.distributed.ray_train import keep_freed_blocks
if {kept}:
    keep_freed_blocks()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(8_000_000)
before = faults()
for _ in range(10):
    np.ones(8_000_000)
print(faults() - before)
"""


def pages(kept: bool) -> int:
    """The pages that a process asks for while it makes and frees ten arrays of 64 MB."""
    shown = subprocess.run([sys.executable, "-c", PAGES.format(kept=kept)], capture_output=True, text=True, check=True)
    return int(shown.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library's memory is left as it is")
def test_freed_memory_is_used_again() -> None:
    assert pages(kept=True) < pages(kept=False) / 4
