"""A Ray that cannot start says so in one line."""

from pathlib import Path

import pytest

from restorekit.cluster import ray_cluster
from restorekit.errors import RestorekitError


def test_a_ray_that_cannot_start_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder for sockets and logs is a file."""
    (tmp_path / "file").touch()
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / "file"))
    says = r"^Ray does not start on this machine \(.*\): .*run the same"
    with pytest.raises(RestorekitError, match=says) as caught, ray_cluster(1):
        raise AssertionError("it started")
    assert "\n" not in str(caught.value)
