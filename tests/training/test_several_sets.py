"""A training on several data sets: their shares in the batches, exact resume, and images that not all sets have."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from restorekit.config import DmgnRun
from restorekit.image import encode_grey, encode_rgb
from restorekit.objectives import Phase
from restorekit.shards.manifest import ShardManifest, write_shard
from restorekit.shards.mixture import MixedReader
from restorekit.shards.plan import begin_epoch
from restorekit.training.batches import train_batches
from restorekit.training.job import Job, job_digest
from restorekit.training.phases import first_phase_folder
from tests.conftest import samples
from tests.training.conftest import NUM_SAMPLES, MakeJob, assert_equal, final, run, run_twice
from tests.training.ranks import do, learning, losses

SHARES = {"rain": 0.7, "rain-own": 0.3}
NUM_OTHERS = 9  # samples of rain-own; an epoch reads 22 of rain and 9 of rain-own


def write(folder: Path, name: str, counts: tuple[int, ...], members: dict[str, bytes]) -> Path:
    """`folder` with train/, a shard for each of `counts`, of samples that also have `members`."""
    (folder / "train").mkdir(parents=True)

    def made(first: int, count: int) -> Iterator[tuple[str, dict[str, bytes]]]:
        for key, sample in samples(100 + first, count, 44):
            yield key, {**sample, **members}

    starts = np.cumsum([0, *counts[:-1]]).tolist()
    shards = tuple(
        write_shard(folder / "train" / f"{n}.tar", made(first, count))
        for n, (first, count) in enumerate(zip(starts, counts, strict=True))
    )
    ShardManifest(name, "rain", "train", "made", shards).save(folder / "train")
    return folder


@pytest.fixture
def other_shards(tmp_path: Path) -> Path:
    """Nine tiles of 44 pixels, as of a second data set."""
    return write(tmp_path / "rain-own", "rain-own", (5, 4), {})


@pytest.fixture
def make_mixed(make_job: MakeJob, other_shards: Path) -> MakeJob:
    """Makes a job on both sets."""

    def make(state: str, shares: dict[str, float] = SHARES, **changes: object) -> Job:
        job = make_job(state, **changes)
        spec = DmgnRun.model_validate({**job.spec.model_dump(exclude_unset=True), "dataset": shares})
        return replace(job, spec=spec, others=(other_shards,))

    return make


@pytest.mark.parametrize("kill_after, resumes_at", [(4, 3), (8, 6)])
def test_a_killed_training_ends_with_the_same_weights(make_mixed: MakeJob, kill_after: int, resumes_at: int) -> None:
    # An epoch has 31 samples and 8 steps.
    whole, killed = make_mixed("whole", steps=10), make_mixed("killed", steps=10)
    run(whole)
    again = run_twice(killed, kill_after)
    assert [report.step for report in again if report.resumed] == [resumes_at]
    assert_equal(final(killed), final(whole))


def test_another_world_goes_on_where_the_killed_one_was(make_mixed: MakeJob, tmp_path: Path) -> None:
    whole, killed = make_mixed("whole", steps=10), make_mixed("killed", steps=10, loader_workers=1)
    do(tmp_path, learning(whole), learning(killed, 2, kill=[5, "loss"]), learning(killed, 1))
    assert losses(killed) == pytest.approx(losses(whole), rel=1e-3)  # the same samples at each step


def test_loader_workers_read_the_samples_of_both_sets_by_their_shares(make_mixed: MakeJob) -> None:
    job = make_mixed("state")
    assert MixedReader(job.train_shards, 5).num_samples == NUM_SAMPLES + NUM_OTHERS
    cursor = begin_epoch(0, NUM_SAMPLES + NUM_OTHERS, batch_size=4)
    batches = list(islice(train_batches(job.train_shards, cursor, (0, 1), 2, 5, 24, ("horizontal",)), 16))
    for epoch in range(2):
        keys = Counter(key for batch in batches[8 * epoch : 8 * epoch + 8] for key in batch.keys)
        assert set(keys.values()) == {1}
        assert Counter(key.partition("/")[0] for key in keys) == {"rain": NUM_SAMPLES, "rain-own": NUM_OTHERS}


def test_a_set_that_comes_round_again_is_augmented_by_its_own_epoch(make_mixed: MakeJob) -> None:
    """With a share of two thirds, the nine samples come nearly five times while the other 22 come once."""
    job = make_mixed("state", {"rain": 1 / 3, "rain-own": 2 / 3})
    reader = MixedReader(job.train_shards, 5)
    assert reader.mixture.counts == (22, 44)
    cursor = begin_epoch(0, 66, batch_size=1)
    crops: dict[str, list[bytes]] = {}
    for batch in islice(train_batches(job.train_shards, cursor, (0, 1), 0, 5, 24, ("horizontal",)), 66):
        crops.setdefault(batch.keys[0], []).append(batch.images["clean"].numpy().tobytes())
    repeated = [found for key, found in crops.items() if key.startswith("rain-own/")]
    assert sorted(map(len, repeated)) == [4, *[5] * 8]
    assert all(len(set(found)) == len(found) for found in repeated)


def test_a_layer_of_one_set_is_made_for_the_others_and_a_mask_is_left_out(make_job: MakeJob, tmp_path: Path) -> None:
    layer, mask = encode_rgb(np.full((44, 44, 3), 77, np.uint8), "png"), encode_grey(np.zeros((44, 44), np.uint8))
    other = write(tmp_path / "other", "rain-other", (6,), {"layer.png": layer, "mask.png": mask})
    shards = {make_job().shards / "train": 0.5, other / "train": 0.5}
    for batch in islice(train_batches(shards, begin_epoch(0, 44, 4), (0, 1), 0, 5, 24, ()), 4):
        assert set(batch.images) == {"degraded", "clean", "layer"}
        for number, key in enumerate(batch.keys):
            images = {name: batch.images[name][number].int() for name in batch.images}
            added = (images["degraded"] - images["clean"]).clamp(min=0)
            expected = added.new_full(added.shape, 77) if key.startswith("rain-other/") else added
            assert (images["layer"] == expected).all()


def test_shares_and_every_set_count_for_the_digests(make_mixed: MakeJob, make_job: MakeJob, tmp_path: Path) -> None:
    jobs = [make_mixed("state"), make_mixed("state", {"rain": 0.6, "rain-own": 0.4}), make_job("state")]
    assert len({job_digest(job, ["a", "b"]) for job in jobs}) == 3
    assert job_digest(jobs[0], ["a", "b", "c"]) != job_digest(jobs[0], ["a", "b", "d"])
    kept = [replace(job, phases=tmp_path) for job in jobs]
    assert len({first_phase_folder(job, Phase("localise", steps=4), {}) for job in kept}) == 3
    assert Job.from_json(jobs[0].to_json()) == jobs[0]
