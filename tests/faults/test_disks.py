"""A disk that is full or read-only: one clear line, the old files whole, nothing half written beside them."""

import shutil
import subprocess
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.evaluate import evaluate
from pipelines.promote import promote
from pipelines.report import report
from restorekit.config import Params
from restorekit.entry import run_entry
from restorekit.errors import RestorekitError
from restorekit.image import encode_rgb, read_image, write_image
from restorekit.paths import Paths
from restorekit.rng import rng_for
from restorekit.shards.manifest import ShardManifest, write_shard
from restorekit.shards.reader import iter_samples
from restorekit.shards.staging import finish, stage_shard
from tests.training.conftest import MakeJob, run

WriteModel = Callable[..., None]


@contextmanager
def no_room(disk: Path, left: int = 0):
    """A context in which `disk` has room for `left` bytes."""
    filler = disk / "filler"
    with filler.open("wb") as file:
        file.write(bytes(max(0, shutil.disk_usage(disk).free - left)))
    try:
        yield
    finally:
        filler.unlink()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def said(main: Callable[[], Any], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr with which a program ends that runs `main`."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        run_entry(main)
    assert ended.value.code == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:]
    assert not any("Traceback" in line for line in lines)
    return lines[-1]


class Noise:
    """A recipe of one shard of a megabyte."""

    name, task, split, num_shards = "rain", "rain", "train", 1

    def samples(self, shard: int, source: Path):
        for number in range(16):
            pixels = rng_for(0, number).integers(0, 256, (150, 150, 3), dtype=np.uint8)
            image = encode_rgb(pixels, "png")
            yield f"{number:04d}", {"degraded.png": image, "clean.png": image, "json": b"{}"}

    def digest_values(self) -> dict[str, Any]:
        return {}


def test_a_full_disk_under_a_shard(small_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    staging, recipe = small_disk / "staging", Noise()
    (staging / "train").mkdir(parents=True)
    with no_room(small_disk, 400_000):
        line = said(lambda: stage_shard(recipe, 0, staging, small_disk), capsys)
        assert contents(staging) == {}
    assert "shard" in line
    assert "rain-train-00000.tar could not be written (No space left on device): make room and run" in line
    stage_shard(recipe, 0, staging, small_disk)
    finish(recipe, staging, "made")
    assert len(list(iter_samples(staging / "train"))) == 16


def test_a_full_disk_under_an_evaluation_and_a_report(
    small_disk: Path, paths: Paths, params: Params, write_model: WriteModel, capsys: pytest.CaptureFixture[str]
) -> None:
    """What an earlier run wrote stays; with room, the same command ends well."""
    shutil.copytree(paths.root, small_disk, dirs_exist_ok=True, ignore=shutil.ignore_patterns("disk"))
    here, run_name = Paths(small_disk), "dmgn-rain"
    write_model(24.0)
    shutil.copytree(paths.model(run_name), here.model(run_name))
    evaluate(run_name, params, here)
    promote(params, here)
    report(params, here)
    before = {folder: contents(folder) for folder in (here.evaluation(run_name), here.report)}
    for stage in (lambda: evaluate(run_name, params, here), lambda: report(params, here)):
        with no_room(small_disk, 8_192):
            assert said(stage, capsys).endswith("run the same command again")
        assert {folder: contents(folder) for folder in before} == before
        stage()
        assert {folder: contents(folder) for folder in before} == before


def test_a_full_disk_under_a_restored_photo(small_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = rng_for(0, "photo").integers(0, 256, (300, 400, 3), dtype=np.uint8)
    target = small_disk / "photo.png"
    target.write_bytes(encode_rgb(pixels, "png"))
    photo, before = read_image(target), contents(small_disk)
    with no_room(small_disk, 40_000):
        assert "photo.png cannot be written" in said(lambda: write_image(target, photo), capsys)
    assert contents(small_disk) == before


def test_a_read_only_folder(small_disk: Path, make_job: MakeJob, capsys: pytest.CaptureFixture[str]) -> None:
    """Shards are read from it; a training whose states should go there says so."""
    job = make_job(steps=2, validate_every=2)
    shutil.copytree(job.shards, small_disk / "shards")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    reading = replace(job, shards=small_disk / "shards")
    run(reading)
    line = said(lambda: run(replace(reading, state=small_disk / "state")), capsys)
    assert "Read-only file system: make it writable for this user and run the same command again" in line
    assert str(small_disk / "state") in line


def test_a_shard_without_room_for_its_index(small_disk: Path) -> None:
    """Neither of the two files appears without the other, at any amount of room."""
    samples = list(Noise().samples(0, small_disk))[:3]
    whole = write_shard(small_disk / "whole.tar", samples)
    for left in range(0, whole.bytes + 12_288, 32_768):
        folder = small_disk / "folder"
        folder.mkdir()
        with no_room(small_disk, left):
            try:
                shard = write_shard(folder / "a.tar", samples)
            except OSError:
                assert contents(folder) == {}, left
            else:
                assert (shard.sha256, shard.bytes) == (whole.sha256, whole.bytes)
        shutil.rmtree(folder)


def test_no_room_for_a_manifest_keeps_the_old_one(small_disk: Path) -> None:
    shard = write_shard(small_disk / "a.tar", list(Noise().samples(0, small_disk))[:1])
    old = ShardManifest("rain", "rain", "train", "old", (shard,))
    old.save(small_disk)
    with no_room(small_disk), pytest.raises((OSError, RestorekitError)):
        ShardManifest("rain", "rain", "train", "new", (shard,)).save(small_disk)
    assert ShardManifest.load(small_disk) == old
