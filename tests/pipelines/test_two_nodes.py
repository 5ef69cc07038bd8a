"""Two nodes with their own addresses on this machine: one fails during an epoch, and every sample is read once."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from restorekit.shards.manifest import ShardManifest
from tests.shipped import shipped_values

ROOT = Path(__file__).parents[2]


def has_namespaces() -> bool:
    """Whether this process may make a network namespace."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    name = f"trial-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode == 0
    return made and subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("elastic", [False, True], ids=["replaced", "elastic"])
def test_a_node_is_lost_during_an_epoch_and_every_sample_is_read_once(
    tiny_shards: Path, tmp_path: Path, elastic: bool
) -> None:
    if not has_namespaces():
        pytest.skip("network namespaces need root and the program `ip`")
    values = shipped_values()
    values["runs"] = {"dmgn-rain": values["runs"]["dmgn-rain"] | {"train": {}}}
    values["runs"]["dmgn-rain"]["options"] |= {"width": 2, "trunk": "none"}
    values["train"] |= {"crop": 32, "batch_size": 4, "precision": "fp32", "validate_every": 100}
    kept = {name: section for name, section in values.items() if name != "real"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(kept))
    shutil.copytree(tiny_shards, tmp_path / "data" / "shards" / "rain")
    command = [sys.executable, "-m", "pipelines.cluster.two_nodes", "--run", "dmgn-rain", "--steps", "18"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "RESTOREKIT_"))}
    done = subprocess.run(
        [*command, *(["--elastic"] if elastic else [])],
        cwd=tmp_path, env=environment | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    killed = re.search(r"^step (\d+): second .* is killed$", done.stdout, re.MULTILINE)
    assert killed is not None
    assert 0 < int(killed[1]) % 6 < 6  # steps an epoch
    starts = set(re.findall(r"^ +(\d+)  +\d+ to +\d+ ", done.stdout, re.MULTILINE))
    assert len(starts) == 2
    assert "0" in starts
    known = ShardManifest.load(tiny_shards / "train").num_samples
    epochs = re.findall(r"^epoch (\d+): (\d+) of (\d+) samples, (\d+) times in all$", done.stdout, re.MULTILINE)
    assert epochs[:2] == [(str(epoch), *(str(known),) * 3) for epoch in range(2)]
