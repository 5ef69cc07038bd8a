"""Memory budgets for networks: running out of main memory cannot be caught, so the budget is set before the run."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import torch

HOST_SHARE = 0.5  # of the free memory: other programs need memory, too, and running out ends the process
DEVICE_SHARE = 0.8  # of the free memory: running out on a GPU is caught, and a smaller tile is tried


def default_budget(device: torch.device) -> int:
    """Bytes that restoring may take on `device`, besides the loaded model."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(DEVICE_SHARE * (free + cached))
    return int(HOST_SHARE * available_bytes())


def available_bytes() -> int:
    """Bytes of main memory that this process can still get: the machine's, or its control group's if fewer."""
    free = psutil.virtual_memory().available
    try:
        groups = Path("/proc/self/cgroup").read_text()
    except OSError:  # not Linux
        return free
    return min([free, *cgroup_free_bytes(groups, Path("/sys/fs/cgroup"))])


def cgroup_free_bytes(groups: str, root: Path) -> Iterator[int]:
    """The free bytes under each limit from this process's control group up to the root, versions 1 and 2.

    `groups` is the text of /proc/self/cgroup, `root` the folder where the groups are mounted. Pages of files that were
    not used lately count as free. A container does not see the group's own path; its root is the container's group.
    """
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            names = ("memory.max", "memory.current", "inactive_file")
            tops = [root, root / "unified"]
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            tops = [root / "memory"]
        else:
            continue
        for top in tops:
            for folder in _upwards(top, path):
                free = _free_in(folder, *names)
                if free is not None:
                    yield free


def _upwards(top: Path, path: str) -> Iterator[Path]:
    parts = [part for part in path.split("/") if part and part != ".."]
    for count in range(len(parts), -1, -1):
        yield top.joinpath(*parts[:count])


def _free_in(folder: Path, limit_name: str, usage_name: str, reclaimable_name: str) -> int | None:
    try:
        limit_text = (folder / limit_name).read_text().strip()
        limit = None if limit_text == "max" else int(limit_text)
        usage = int((folder / usage_name).read_text())
        lines = (folder / "memory.stat").read_text().splitlines()
        reclaimable = next((int(line.split()[1]) for line in lines if line.split()[0] == reclaimable_name), 0)
    except (OSError, ValueError, IndexError):
        return None
    if limit is None:
        return None
    return max(0, limit - usage + reclaimable)
