"""Shards and states in object storage: another machine goes on to the bit, and a stale process changes nothing."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from restorekit.distributed.lease import RemoteStates, open_states
from restorekit.errors import RestorekitError
from restorekit.shards.plan import begin_epoch
from restorekit.storage import Remote, local_path, push_file, remote_of
from restorekit.training.job import Job
from restorekit.training.phases import Progress
from restorekit.training.state import StateStore, TrainingState
from tests.training.conftest import KilledError, MakeJob, Undisturbed, assert_equal, run


def state_of(step: int, value: float = 0.0) -> TrainingState:
    cursor = begin_epoch(0, 22, 4)
    return TrainingState(step, replace(cursor, step=step), {"w": torch.full((3,), value)}, Progress(), "fp32")


@pytest.fixture
def stored_job(make_job: MakeJob, bucket: str) -> Job:
    """A job whose shards and state are below the bucket; none of the shards is in the cache."""
    job = make_job()
    for folder in sorted(job.shards.iterdir()):
        for file in folder.iterdir():
            (Remote(bucket) / "shards" / folder.name / file.name).put(file)
    return replace(job, shards=local_path(f"{bucket}/shards"), state=local_path(f"{bucket}/state"))


@contextmanager
def machine(number: int, tmp_path: Path) -> Iterator[None]:
    """A context in which this process has the cache of another machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESTOREKIT_CACHE", str(tmp_path / f"machine-{number}"))
        yield


def test_another_machine_goes_on_to_the_same_weights(undisturbed: Undisturbed, stored_job: Job, tmp_path: Path) -> None:
    whole, _ = undisturbed()
    expected = StateStore(whole.state).load_latest()
    travelling = stored_job.to_json()
    assert travelling["shards"].startswith("s3://")
    with machine(1, tmp_path), pytest.raises(KilledError):
        run(Job.from_json(travelling), 5)
    with machine(2, tmp_path):
        job = Job.from_json(travelling)
        assert not job.state.exists()
        first, *_ = run(job)
        assert (first.step, first.resumed) == (3, True)
        assert len(list((job.shards / "train").glob("*.tar"))) == 3
    with machine(3, tmp_path):
        found = open_states(Job.from_json(travelling).state).load_latest()
    assert expected is not None
    assert found is not None
    assert (found.step, found.cursor) == (expected.step, expected.cursor)
    assert_equal(found.tensors, expected.tensors)


def test_the_last_two_and_the_best_are_kept(bucket: str) -> None:
    store = open_states(local_path(f"{bucket}/state"))
    with store.locked():
        for step in (1, 2, 3, 4):
            store.save(state_of(step, step))
            store.save_best(state_of(step, -step))
    stored = remote_of(store.folder)
    assert stored is not None
    states = [name for name in stored.names() if name != "lease"]
    assert [name[:13] for name in states] == ["best-00000004", "step-00000003", "step-00000004"]
    assert store.latest_step() == 4
    best = store.load_best()
    assert best is not None
    assert best.tensors["w"].tolist() == [-4.0] * 3
    assert {path.name for path in store.folder.iterdir() if path.is_dir()} == set(states)


def test_a_state_in_use_is_refused(bucket: str, tmp_path: Path) -> None:
    with machine(1, tmp_path):
        first = open_states(local_path(f"{bucket}/state"))
        with first.locked(), machine(2, tmp_path):
            second = open_states(local_path(f"{bucket}/state"), lock_wait_s=0.1)
            with pytest.raises(RestorekitError, match=r"^s3://.*/state is in use by another training"), second.locked():
                pass


def test_states_of_a_stale_process_never_count(bucket: str, tmp_path: Path) -> None:
    """The first holder is silent for longer than the second one waits, and then pushes a state."""
    remote = Remote(f"{bucket}/state")
    with machine(1, tmp_path):
        late = open_states(local_path(f"{bucket}/state"))
        holding = late.locked()
        holding.__enter__()
        late.save(state_of(1, 1.0))
    with machine(2, tmp_path):
        heir = StateStore(local_path(f"{bucket}/state"), pushed=RemoteStates(remote, silence_s=-1.0))
        with heir.locked():
            loaded = heir.load_latest()
            assert loaded is not None
            assert loaded.tensors["w"].tolist() == [1.0] * 3
            with machine(1, tmp_path):
                with pytest.raises(RestorekitError, match="another training of the same run has taken over"):
                    late.save(state_of(9, 9.0))
                # And a push whose check came just before the other process took the lease:
                record = (remote / "step-00000001-000001" / "state.json").read()
                assert record is not None
                (remote / "step-00000008-000001" / "state.json").write(record)
            assert heir.latest_step() == 1
            heir.save(state_of(2, 2.0))
            assert heir.latest_step() == 2
    holding.__exit__(None, None, None)
    with machine(3, tmp_path):
        again = open_states(local_path(f"{bucket}/state"))
        with again.locked():
            assert again.latest_step() == 2
        assert not (remote / "step-00000008-000001").names()


def test_one_of_several_takes_the_lease(bucket: str) -> None:
    remote = Remote(f"{bucket}/state")
    took: list[int] = []
    stays = threading.Event()
    refused = threading.Semaphore(0)

    def take(number: int) -> None:
        try:
            with RemoteStates(remote, silence_s=60.0, owner=f"machine {number}").held(wait_s=0.0):
                took.append(number)
                stays.wait(60)
        except RestorekitError:
            refused.release()

    threads = [threading.Thread(target=take, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        assert refused.acquire(timeout=60)
    stays.set()
    for thread in threads:
        thread.join()
    assert len(took) == 1


def test_a_killed_holder_on_this_machine_does_not_delay_the_next(bucket: str) -> None:
    script = (
        "import os, sys\n"
        "from restorekit.storage import local_path\n"
        "from restorekit.distributed.lease import open_states\n"
        "with open_states(local_path(sys.argv[1])).locked():\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    address = f"{bucket}/state"
    killed = subprocess.run([sys.executable, "-c", script, address], check=False, env=dict(os.environ))
    assert killed.returncode == -signal.SIGKILL
    store = StateStore(local_path(address), pushed=RemoteStates(Remote(address), silence_s=3600.0))
    with store.locked():
        store.save(state_of(1))
    assert store.latest_step() == 1


def test_a_damaged_copy_of_a_state_is_fetched_again(bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_states(local_path(f"{bucket}/state"))
    with store.locked():
        path = store.save(state_of(1, 5.0))
    (path / "tensors.safetensors").write_bytes(b"rubbish")
    loaded = store.load_latest()
    assert loaded is not None
    assert loaded.tensors["w"].tolist() == [5.0] * 3
    assert "damaged" not in capsys.readouterr().err


def test_a_damaged_stored_state_is_skipped_for_the_one_before(
    bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_states(local_path(f"{bucket}/state"))
    with store.locked():
        store.save(state_of(1, 1.0))
        path = store.save(state_of(2, 2.0))
    (Remote(f"{bucket}/state") / path.name / "tensors.safetensors").write(b"rubbish")
    with machine(2, tmp_path):
        loaded = open_states(local_path(f"{bucket}/state")).load_latest()
    assert loaded is not None
    assert loaded.step == 1
    assert "damaged" in capsys.readouterr().err


def test_weight_files_travel_by_their_address(make_job: MakeJob, bucket: str, tmp_path: Path) -> None:
    job = make_job()
    file = local_path(f"{bucket}/trunk.pth")
    file.parent.mkdir(parents=True)
    file.write_bytes(b"weights")
    push_file(file)
    options = job.spec.options.model_copy(update={"trunk": "vgg19", "trunk_weights": str(file)})
    travelling = replace(job, spec=job.spec.model_copy(update={"options": options})).to_json()
    assert travelling["spec"]["options"]["trunk_weights"] == f"{bucket}/trunk.pth"
    with machine(2, tmp_path):
        found = Path(str(Job.from_json(travelling).spec.options.model_dump()["trunk_weights"]))
        assert found.is_relative_to(tmp_path / "machine-2")
        assert found.read_bytes() == b"weights"
