"""Named generators, and files that appear complete or not at all."""

import subprocess
import sys
from pathlib import Path

import pytest

from restorekit.errors import RestorekitError
from restorekit.files import digest_of, read_json, sha256_file, write_atomically, write_json
from restorekit.paths import working_root
from restorekit.rng import rng_for, seed_for


def test_a_generator_belongs_to_its_names() -> None:
    draws = [rng_for(seed, *names).random() for seed in (1, 2) for names in (("a",), ("a", "b"), ("ab",), (1,), ("1",))]
    assert len(set(draws)) == len(draws)
    assert rng_for(1, "a", 2).random() == rng_for(1, "a", 2).random()


def test_seeds_are_the_same_on_every_machine() -> None:
    assert seed_for(17, "rain", 3) == 17370303274642655673


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail_halfway() -> None:
        with write_atomically(target) as partial:
            partial.write_text("new")
            raise ValueError("halfway")

    with pytest.raises(ValueError, match="halfway"):
        fail_halfway()
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert target.read_text() == "old"


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "old").touch()
    with write_atomically(target) as partial:
        partial.mkdir()
        (partial / "new").touch()
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_json_is_the_same_for_equal_values(tmp_path: Path) -> None:
    write_json(tmp_path / "a", {"x": 1, "y": [2.5]})
    write_json(tmp_path / "b", {"y": [2.5], "x": 1})
    assert sha256_file(tmp_path / "a") == sha256_file(tmp_path / "b")
    assert digest_of({"x": 1}) != digest_of({"x": 2})
    with pytest.raises(ValueError):
        write_json(tmp_path / "c", {"x": float("nan")})
    assert not (tmp_path / "c").exists()


def test_json_that_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RestorekitError, match=r"no recipe at .*: run x"):
        read_json(tmp_path / "none", "recipe", "run x")
    (tmp_path / "bad").write_text("{")
    with pytest.raises(RestorekitError, match=r"recipe at .* cannot be read .*: run x"):
        read_json(tmp_path / "bad", "recipe", "run x")


def test_the_leftover_of_a_killed_process_is_removed(tmp_path: Path) -> None:
    script = "import os, pathlib, sys; from restorekit.files import write_atomically\n"
    script += "with write_atomically(pathlib.Path(sys.argv[1])) as partial:\n"
    script += "    partial.write_text('half'); os.kill(os.getpid(), 9)\n"
    target = tmp_path / "a.txt"
    killed = subprocess.run([sys.executable, "-c", script, str(target)], check=False)
    assert killed.returncode == -9
    assert len(list(tmp_path.iterdir())) == 1
    with write_atomically(target) as partial:
        partial.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert target.read_text() == "whole"


def test_the_root_is_a_folder_or_the_mirror_of_an_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RESTOREKIT_CACHE", str(tmp_path))
    monkeypatch.setenv("RESTOREKIT_ROOT", "s3://bucket/x")
    assert working_root().root == tmp_path / "s3" / "bucket" / "x"
    monkeypatch.setenv("RESTOREKIT_ROOT", str(tmp_path))
    assert working_root().root == tmp_path
