"""`make bench`: the speed of our loader and others with the same training pairs, and how each recovers from a kill.

The same bytes, the same decoder, crop and flip, one loader at a time in a process of its own; a loader whose pixels are
not ours to the bit is refused. Each ability is tried, not looked up: an epoch is stopped after five batches and gone on
with, in the same world and by two ranks in place of one; and two ranks read an epoch of 137 pairs in uneven shards.

python tests/bench/loader.py data/bench/loader.json [python of .venv-bench-data]
"""

import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", NO_ALBUMENTATIONS_UPDATE="1")

import cv2
import numpy as np
from skimage import data

from restorekit.degradations import Scene, get_degradation
from restorekit.files import write_json
from restorekit.image import encode_rgb, to_float, to_uint8
from restorekit.image.arrays import Encoding
from restorekit.rng import rng_for
from restorekit.shards.manifest import ShardManifest, write_shard

SCRIPT = Path(__file__).with_name("loader_opponents.py")
OURS, BESIDE = "ours", ("litdata", "mosaicml-streaming")  # the latter need other pins
OPPONENTS = ("webdataset", "torch, loose files", "Ray Data", *BESIDE)
READS_SHARDS = (OURS, "webdataset", "Ray Data")  # the others have their own format
SIZE, TILE, SECONDS = (288, 432), 144, 1.5
EVEN, UNEVEN = (128,) * 8, (23, 9, 31, 14, 8, 27, 19, 6)
BMP_LOADERS = (0, 1)


def main() -> None:
    target, python = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""
    names = [OURS, *(name for name in OPPONENTS if name not in BESIDE or Path(python).exists())]
    if len(names) <= len(OPPONENTS):
        print(f"{' and '.join(BESIDE)} are left out: .venv-bench-data could not be made (see above)")
    bench = Bench(python)
    with tempfile.TemporaryDirectory() as folder:
        rows = bench.speeds(names, Path(folder) / "png", "png", (0, 1, 2))
        rows += bench.speeds([n for n in names if n != "Ray Data"], Path(folder) / "bmp", "bmp", BMP_LOADERS)
        rows += bench.abilities(names, Path(folder) / "uneven")
    write_json(target, {"machine": _machine(), "rows": rows})
    for row in rows:
        against = f"  {row['opponent']}: {row['theirs']:g}, ratio {row['ratio']}" if row["opponent"] else ""
        print(f"{row['case']:52} {row['ours']:9g} {row['unit']}{against}{'  ' + row.get('found', '')}")
    print(f"{len(rows)} rows in {target}")


class Bench:
    """Runs the loaders, each in a process of its own."""

    def __init__(self, python: str) -> None:
        self._python = python

    def speeds(self, names: list[str], folder: Path, encoding: Encoding, counts: tuple[int, ...]) -> list[dict]:
        source = make_shards(folder / OURS, EVEN, encoding, TILE)
        places, sizes = self._packed(names, source, folder)
        rows = _against(f"{encoding}, on disk", "MiB", "lower", sizes, len(EVEN))
        for loaders in counts:
            asked = [name for name in names if loaders or name != "Ray Data"]  # which has no loader in the process
            found = {name: self.run("speed", name, str(places[name]), str(loaders), str(SECONDS)) for name in asked}
            print(f"{encoding}, {loaders} loader workers: {', '.join(asked)} are measured", flush=True)
            for name, figures in found.items():
                if figures["digest"] != found[OURS]["digest"]:
                    raise SystemExit(f"{name} gives other pixels than ours: nothing is compared")
            case = f"{encoding}, {loaders} loader workers"
            rates = {name: float(np.median(figures["rates"])) for name, figures in found.items()}
            rows += _against(case, "pairs/s", "higher", rates, sum(EVEN))
            for unit, key in (("CPU ms a pair", "cpu_ms"), ("s to the first batch", "first_s"), ("MiB", "memory_mib")):
                values = {name: figures[key] for name, figures in found.items()}
                rows += _against(f"{case}{', peak memory' if unit == 'MiB' else ''}", unit, "lower", values, sum(EVEN))
        return rows

    def abilities(self, names: list[str], folder: Path) -> list[dict]:
        source = make_shards(folder / OURS, UNEVEN, "png", 96)
        places, _ = self._packed(names, source, folder)
        found = {name: self._abilities(name, places[name], folder / "state.json") for name in names}
        rows = []
        for ability in found[OURS]:
            for name in names[1:]:
                row = _row(ability, "shown", "higher", *(float(found[n][ability][0]) for n in (OURS, name)), name, 1)
                rows.append({**row, "ratio": None, "found": found[name][ability][1]})
        return rows

    def _abilities(self, name: str, folder: Path, note: Path) -> dict[str, tuple[bool, str]]:
        """Ability -> whether the loader has it, and the observation."""
        whole = sum(UNEVEN)
        alone = self.run("order", name, str(folder), BENCH_BATCH="8")
        exact = other = (False, "it has no state to save")
        if alone["state"] is not None:
            same = alone["begun"] + alone["rest"] == alone["whole"]
            exact = same, "the same batches as if not stopped" if same else "other batches than if not stopped"
            note.write_text(alone["state"])
            try:
                ranks = [part["rest"] for part in self._two_ranks(name, folder, str(note))]
                other = _once([alone["begun"], *ranks], whole)
            except RuntimeError as error:
                other = False, f"it raises: {error}"
        if name == "Ray Data":
            ranks = self.run("order", name, str(folder), WORLD_SIZE="2", BENCH_BATCH="4")["keys"]
        else:
            ranks = [part["keys"] for part in self._two_ranks(name, folder)]
        steps = [len(rank) for rank in ranks]
        once, seen = _once(ranks, whole)
        return {
            "exact resume within an epoch": exact,
            "resumed by two ranks, each pair once": other,
            "two ranks, equal steps, each pair once": (
                once and steps[0] == steps[1], f"{' and '.join(map(str, steps))} steps, {seen}",
            ),
        }  # fmt: skip

    def _two_ranks(self, name: str, folder: Path, *state: str) -> list[dict]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        world = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        settings = {**world, "NNODES": "1", "BENCH_BATCH": "4", "BENCH_WHOLE": "8"}
        ranks = [{"RANK": rank, "LOCAL_RANK": rank, "GLOBAL_RANK": rank} for rank in ("0", "1")]
        started = [self._start("order", name, str(folder), *state, **settings, **rank) for rank in ranks]
        return [_result(process) for process in started]

    def _packed(self, names: list[str], source: Path, folder: Path) -> tuple[dict[str, Path], dict[str, float]]:
        """The folder of each loader's pairs, and their size in MiB."""
        places, sizes = {}, {}
        for name in names:
            places[name] = source if name in READS_SHARDS else folder / name
            if places[name] is not source:
                places[name].mkdir()
                self.run("pack", name, str(source), str(places[name]))
            sizes[name] = sum(file.stat().st_size for file in places[name].rglob("*") if file.is_file()) / 2**20
        return places, sizes

    def run(self, action: str, name: str, *arguments: str, **settings: str) -> dict:
        return _result(self._start(action, name, *arguments, **settings))

    def _start(self, action: str, name: str, *arguments: str, **settings: str) -> subprocess.Popen:
        python = self._python if name in BESIDE else sys.executable
        root = str(Path(__file__).parents[2])
        return subprocess.Popen(
            [python, "-W", "ignore", str(SCRIPT), action, name, *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": root, **settings},
        )  # fmt: skip


def make_shards(folder: Path, sizes: tuple[int, ...], encoding: Encoding, tile: int) -> Path:
    """Rain on tiles of four photographs."""
    folder.mkdir(parents=True)
    loaded = [getattr(data, name)()[..., :3] for name in ("astronaut", "chelsea", "coffee", "rocket")]
    photographs = [to_float(cv2.resize(one, SIZE[::-1], interpolation=cv2.INTER_AREA)) for one in loaded]
    rain = get_degradation("rain")

    def samples(first: int, count: int) -> Iterator[tuple[str, dict[str, bytes]]]:
        for number in range(first, first + count):
            rng, image = rng_for(5, number), photographs[number % 4]
            top, left = (int(rng.integers(0, side - tile + 1)) for side in SIZE)
            scene = Scene(np.ascontiguousarray(image[top : top + tile, left : left + tile]))
            params = rain.sample(rng, (tile, tile), 0.5, "light")
            images = {"degraded": rain.apply(scene, params).degraded, "clean": scene.image}
            members = {f"{name}.{encoding}": encode_rgb(to_uint8(one), encoding) for name, one in images.items()}
            yield f"{number:05d}", {**members, "json": json.dumps(params).encode()}

    firsts = np.cumsum([0, *sizes[:-1]]).tolist()
    shards = tuple(
        write_shard(folder / f"{number:02d}.tar", samples(first, count))
        for number, (first, count) in enumerate(zip(firsts, sizes, strict=True))
    )
    ShardManifest("rain", "rain", "train", "made", shards).save(folder)
    return folder


def _once(parts: list[list[list[str]]], whole: int) -> tuple[bool, str]:
    """Whether the batches hold every pair once, and their contents."""
    counts = Counter(key for part in parts for batch in part for key in batch)
    left, again = whole - len(counts), sum(count - 1 for count in counts.values())
    return not left and not again, f"{left} of {whole} pairs left out, {again} read again"


def _result(process: subprocess.Popen) -> dict:
    out, err = process.communicate()
    if process.returncode:
        raise RuntimeError(err.strip().splitlines()[-1][:160] if err.strip() else f"exit status {process.returncode}")
    return dict(json.loads(out.splitlines()[-1]))


def _against(case: str, unit: str, better: str, values: dict[str, float], n: int) -> list[dict]:
    return [_row(case, unit, better, values[OURS], theirs, name, n) for name, theirs in values.items() if name != OURS]


def _row(case: str, unit: str, better: str, ours: float, theirs: float, opponent: str, n: int) -> dict[str, Any]:
    ratio = (ours / theirs if better == "higher" else theirs / ours) if ours and theirs else None
    return {
        "case": case, "unit": unit, "better": better, "ours": round(ours, 3), "opponent": opponent,
        "theirs": round(theirs, 3), "ratio": None if ratio is None else round(ratio, 2), "n": n,
    }  # fmt: skip


def _machine() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(), "cores": os.cpu_count(),
        "python": platform.python_version(), "opencv": cv2.__version__,
    }  # fmt: skip


if __name__ == "__main__":
    main()
