"""`make bench`: the cost of the reading plan for a rank at the size of the internet, by simulation.

10^9 samples in 10^5 shards of which a few are a hundred times as large as most, for 1,024 ranks with batches of 8,192;
then one rank is lost, then nearly half of them, then more than all are back, each time within the epoch. Every rank
computes its own plan from a manifest of all shards; here one does so in its own process.

python tests/bench/plan.py data/bench/plan.json
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from restorekit.files import write_json
from restorekit.rng import rng_for
from restorekit.shards.manifest import Shard, ShardManifest
from restorekit.shards.plan import Cursor, EpochOrder, batch_at, begin_epoch, continue_with, merge_ranges, size_of

NUM_SAMPLES, NUM_SHARDS = 10**9, 10**5
# Ranks and batch of successive worlds, each of which ends at two fifths, three fifths and so on of the cursor's steps.
WORLDS = ((1024, 8192), (1023, 8192), (600, 8192), (1100, 8800))
RANK = 77


def main() -> None:
    target = Path(sys.argv[1])
    if len(sys.argv) > 2:
        print(json.dumps(rank(target)))
        return
    with tempfile.TemporaryDirectory() as folder:
        make_manifest(Path(folder)).save(Path(folder))
        command = [sys.executable, __file__, folder, "rank"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures = json.loads(done.stdout.splitlines()[-1])
    case = f"plan of {NUM_SAMPLES:.0e} samples in {NUM_SHARDS:.0e} shards"
    rows = [_row(f"{case}, {name}", unit, value) for name, unit, value in [*figures, *whole_world()]]
    write_json(target, {"machine": _machine(), "rows": rows})
    for row in rows:
        print(f"{row['case']:84} {row['ours']:12g} {row['unit']}")
    print(f"{len(rows)} rows in {target}")


def rank(folder: Path) -> list[tuple[str, str, float]]:
    """The cost of one rank's plan: (case, unit, value)."""
    before, found = _peak_mib(), []
    began = time.process_time()
    sizes = np.array([shard.samples for shard in ShardManifest.load(folder).shards])
    found.append(("the manifest read and checked", "CPU s", time.process_time() - began))
    cursor: Cursor | None = None
    for number, (ranks, batch) in enumerate(WORLDS):
        began = time.process_time()
        if cursor is None:
            cursor = begin_epoch(2, NUM_SAMPLES, batch)
        else:
            cursor = continue_with(stopped(cursor, number), NUM_SAMPLES, batch)
        order = EpochOrder(sizes, seed=1, epoch=2, num_lanes=cursor.lanes_of(RANK, ranks))
        for step in range(cursor.step, cursor.step + 8):  # the first batches of eight loader workers
            for position in batch_at(cursor, RANK, ranks, step).positions:
                order.locate(position)
        found.append((f"{ranks} ranks: a rank's plan and its first batches", "CPU s", time.process_time() - began))
    return [*found, ("a rank's memory for the manifest and all these plans", "MiB", _peak_mib() - before)]


def whole_world() -> list[tuple[str, str, float]]:
    """The samples that all ranks read in one epoch through all changes of the world."""
    cursor, done, uneven, twice = begin_epoch(2, NUM_SAMPLES, WORLDS[0][1]), 0, 0, 0
    for number, (ranks, _) in enumerate(WORLDS, 1):
        lanes = [piece for lane in range(cursor.num_lanes) for piece in cursor.lane(lane)]
        twice += sum(stop - start for start, stop in lanes) - size_of(merge_ranges(lanes))
        for step in (cursor.step, cursor.num_steps - 1):
            parts = [batch_at(cursor, rank, ranks, step) for rank in range(ranks)]
            uneven += sum(len(part.positions) for part in parts if part.weight) != cursor.count_of_all(step)
        ended = stopped(cursor, number) if number < len(WORLDS) else replace(cursor, step=cursor.num_steps)
        done += sum(cursor.count_of_all(step) for step in range(cursor.step, ended.step))
        cursor = continue_with(ended, NUM_SAMPLES, WORLDS[number][1]) if number < len(WORLDS) else ended
    return [
        ("worlds in which a rank has other steps than the rest", "worlds", float(uneven)),
        ("samples read twice", "samples", float(twice)),
        ("samples left out", "samples", float(NUM_SAMPLES - done)),
    ]


def stopped(cursor: Cursor, number: int) -> Cursor:
    """The cursor where world `number` follows the one before."""
    return replace(cursor, step=cursor.num_steps * (1 + number) // 5)


def make_manifest(folder: Path) -> ShardManifest:
    shares = 1 + rng_for(1, "sizes").pareto(1.2, NUM_SHARDS).clip(max=200)
    sizes = np.maximum(1, shares / shares.sum() * NUM_SAMPLES).astype(np.int64)
    sizes[0] += NUM_SAMPLES - sizes.sum()
    shards = (
        Shard(f"rain-train-{n:06d}.tar", int(size), int(size) * 150_000, f"{n:064x}", f"{n:064x}")
        for n, size in enumerate(sizes)
    )
    return ShardManifest("rain", "rain", "train", "made", tuple(shards))


def _peak_mib() -> float:
    """The peak of this program alone: `ru_maxrss` would include that of the process that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 2**10 for line in lines if line.startswith("VmHWM"))


def _row(case: str, unit: str, ours: float) -> dict[str, Any]:
    return {
        "case": case, "unit": unit, "better": "lower", "ours": round(ours, 3), "opponent": None, "theirs": None,
        "ratio": None, "n": 1,
    }  # fmt: skip


def _machine() -> dict[str, Any]:
    return {"cores": os.cpu_count(), "python": platform.python_version(), "numpy": np.__version__}


if __name__ == "__main__":
    main()
