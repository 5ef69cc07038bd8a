"""Fixtures of several rooms' tests: a small data set of rain-like pairs, an S3 server and a bucket."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# One thread in every process: a second one slows tiny networks and images, and OpenCV's threads spin while they wait.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")
os.environ["RAY_AUTH_MODE"] = "disabled"  # Ray reads this once a process; a token on this machine must not matter

import cv2
import numpy as np
import pytest

from restorekit.image import encode_rgb, to_uint8
from restorekit.rng import rng_for, seed_for
from restorekit.shards.manifest import ShardManifest, write_shard

# Fixtures that take longest. A process runs whole modules, and one that begins with them leaves none idle at the end.
LONG = {"watched", "two_cpus", "nodes"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    long = {item.path for item in items if LONG & set(getattr(item, "fixturenames", ()))}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of this session, so that the user's own gets neither mirrors nor notes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESTOREKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_is_heard() -> None:
    """A shell starts what it runs in the background with Ctrl-C ignored, and processes of the tests inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _one_thread_and_one_seed() -> None:
    """One thread for torch, as some tests leave several, and the same seed; does not import torch."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
        torch.manual_seed(20261120)


def pair(number: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """(degraded, clean): a smooth scene with and without bright slanted lines; uint8 side x side x 3."""
    rng = rng_for(7, "pair", number)
    clean = cv2.resize(rng.random((4, 4, 3), dtype=np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    degraded = clean.copy()
    for _ in range(side // 4):
        x, y = (int(value) for value in rng.integers(0, side, 2))
        cv2.line(degraded, (x, y), (x + 2, y + 9), (1.0, 1.0, 1.0), 1, cv2.LINE_AA)
    return to_uint8(degraded), to_uint8(clean)


def samples(first: int, count: int, side: int) -> Iterator[tuple[str, dict[str, bytes]]]:
    for number in range(first, first + count):
        degraded, clean = pair(number, side)
        record = b'{"photograph": "made", "scene": "made", "kind": "lines", "severity": 0.5, "task": "rain"}'
        yield (
            f"{number:04d}",
            {
                "degraded.png": encode_rgb(degraded, "png"),
                "clean.png": encode_rgb(clean, "png"),
                "json": record,
            },
        )


@pytest.fixture(scope="session")
def tiny_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train/ (three shards, 22 tiles of 40 pixels) and val/ (two images)."""
    return write_tiny_shards(tmp_path_factory.mktemp("shards"))


def write_tiny_shards(folder: Path) -> Path:
    """Writes the shards of `tiny_shards` into `folder`."""
    sizes = {"train": (8, 8, 6), "val": (2,)}
    for split, counts in sizes.items():
        (folder / split).mkdir(parents=True)
        firsts = np.cumsum([0, *counts[:-1]]).tolist()
        shards = tuple(
            write_shard(folder / split / f"{n}.tar", samples(first, count, 40))
            for n, (first, count) in enumerate(zip(firsts, counts, strict=True))
        )
        ShardManifest("rain", "rain", split, "made", shards).save(folder / split)
    return folder


@pytest.fixture(scope="module")
def two_cpus() -> Iterator[None]:
    """A Ray cluster of two CPUs for all tests of a module, since each cluster takes seconds to start."""
    from restorekit.cluster import ray_cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        with ray_cluster(2):
            yield


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server on loopback."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The address (`s3://...`) of an empty bucket on the server, with its own cache folder."""
    import fsspec

    settings = {
        "AWS_ENDPOINT_URL": s3_server, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1", "RESTOREKIT_CACHE": str(tmp_path / "cache"),
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    name = f"test-{abs(seed_for(0, str(tmp_path))) % 10**12}"
    fsspec.filesystem("s3").clear_instance_cache()
    fsspec.filesystem("s3").mkdir(name)
    return f"s3://{name}/below"
