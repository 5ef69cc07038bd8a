"""Memory budgets within the limits of control groups."""

from pathlib import Path

import psutil
import torch

from restorekit.models.memory import available_bytes, cgroup_free_bytes, default_budget


def put(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_version_two_takes_the_least_limit_of_all_parent_groups(tmp_path):
    put(tmp_path, memory__stat="file 5\ninactive_file 0\n")  # the root has no limit
    put(tmp_path / "a", memory__max="1000", memory__current="700", memory__stat="inactive_file 100\n")
    put(tmp_path / "a/b", memory__max="max", memory__current="600", memory__stat="inactive_file 0\n")
    assert list(cgroup_free_bytes("0::/a/b\n", tmp_path)) == [400]


def test_version_one_counts_inactive_file_pages_as_free(tmp_path):
    stat = "cache 300\ntotal_inactive_file 250\n"
    put(tmp_path / "memory/job", memory__limit_in_bytes="2000", memory__usage_in_bytes="900", memory__stat=stat)
    groups = "11:cpu,cpuacct:/job\n4:memory:/job\n0::/\n"
    assert list(cgroup_free_bytes(groups, tmp_path)) == [1350]


def test_a_container_takes_the_root_for_its_unseen_group(tmp_path):
    put(tmp_path, memory__max="5000", memory__current="1000", memory__stat="inactive_file 0\n")
    assert list(cgroup_free_bytes("0::/docker/abc\n", tmp_path)) == [4000]
    assert list(cgroup_free_bytes("0::/../../abc\n", tmp_path)) == [4000]


def test_overuse_leaves_nothing_free_and_damaged_files_set_no_limit(tmp_path):
    put(tmp_path / "a", memory__max="100", memory__current="150", memory__stat="inactive_file 0\n")
    put(tmp_path, memory__max="what", memory__current="1", memory__stat="inactive_file 0\n")
    assert list(cgroup_free_bytes("0::/a\n", tmp_path)) == [0]
    assert list(cgroup_free_bytes("0::/nowhere\n", tmp_path / "empty")) == []


def test_the_default_budget_is_at_most_half_of_the_memory():
    assert 0 < available_bytes() <= psutil.virtual_memory().total
    assert 0 < default_budget(torch.device("cpu")) <= psutil.virtual_memory().total / 2
