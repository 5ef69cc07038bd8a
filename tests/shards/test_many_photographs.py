"""Planning a million photographs takes as much memory as planning a few."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from restorekit.sources.photo_index import SPLITS, Photograph, PhotoIndex, save_photographs

# All work of the driver before and after its tasks, and the reads of one task.
PLAN = """
import json, resource, sys
from pathlib import Path
from pydantic import TypeAdapter
from restorekit.config import AnyDataset
from restorekit.files import digest_of
from restorekit.shards.synthesis import frame_record, recipe_for
from restorekit.sources.photo_index import SPLITS, PhotoIndex

photos = PhotoIndex.open(Path(sys.argv[1]))
photos.verify()
values = {"task": "reflection", "short_side": 72, "severity": [0.3, 0.8], "val": {"variants": 1, "shards": 4}}
values |= {"train": {"variants": 2, "tiles": 2, "tile": 48, "shards": 64}, "test": {"variants": 1}}
dataset = TypeAdapter(AnyDataset).validate_python(values)
recipes = [recipe_for("made", dataset, split, 1, "png", photos) for split in SPLITS]
digest_of([recipe.digest_values() for recipe in recipes])
tasks = [(recipe, number) for recipe in recipes for number in range(recipe.num_shards)]
recipe, number = tasks[40]
frames = recipe.frames_of(number)
records = []
for frame in frames[:20]:
    photograph = photos.photograph(recipe.split, frame % recipe.num_photographs)
    records.append(frame_record(recipe, photos, photograph, frame // recipe.num_photographs))
assert all(record["other"]["scene"] != record["scene"] for record in records)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"frames": sum(one.num_frames for one in recipes), "of_shard": len(frames), "peak_kib": peak}))
"""


def entries(count: int):
    for number in range(count):
        split = SPLITS[0 if number < 0.8 * count else 1 if number < 0.9 * count else 2]
        name = f"{number:016x}"
        yield Photograph(name, f"{name}.jpg", 4000, 3000, name * 4, 5_000_000, "CC0-1.0", "made", split, name)


def planned(folder: Path, count: int) -> dict:
    save_photographs(folder, entries(count))
    done = subprocess.run([sys.executable, "-c", PLAN, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["frames"] == round(1.8 * count)
    assert found["of_shard"] == pytest.approx(1.6 * count / 64, abs=1)
    return found


@pytest.mark.parametrize("counts", [(100, 30_000), pytest.param((10_000, 1_000_000), marks=pytest.mark.slow)])
def test_the_drivers_memory_does_not_grow_with_the_photographs(tmp_path: Path, counts: tuple[int, int]) -> None:
    few, many = (planned(tmp_path / str(count), count) for count in counts)
    # Holding an entry would take at least half a kibibyte; the limit allows for noise.
    assert many["peak_kib"] - few["peak_kib"] < 6 * 1024
    assert 0.5 * (counts[1] - counts[0]) > 6 * 1024


def test_a_manifest_is_written_without_holding_its_entries(tmp_path: Path) -> None:
    save_photographs(tmp_path, entries(50))
    index = PhotoIndex.open(tmp_path)
    assert [index.count(split) for split in SPLITS] == [40, 5, 5]
    assert [one.name for split in SPLITS for one in index.photographs(split)] == [one.name for one in entries(50)]
