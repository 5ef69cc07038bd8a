"""States are written while the training goes on: whole, of their own step, one at a time, and no error is lost."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from restorekit.errors import RestorekitError
from restorekit.shards.plan import begin_epoch
from restorekit.training.job import Job
from restorekit.training.loop import Report, train
from restorekit.training.phases import Progress
from restorekit.training.state import StateStore, TrainingState
from restorekit.training.state_writer import StateWriter
from tests.training.conftest import ALONE, KilledError, MakeJob, assert_equal, final, run

PATIENCE_S = 60.0


class SlowStore(StateStore):
    """A store whose disk answers when `gate` opens; notes what happens in `events`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.gate, self.events = threading.Event(), list[str]()

    def save(self, state: TrainingState) -> Path:
        self.events.append(f"begins {state.step}")
        assert self.gate.wait(PATIENCE_S)
        path = super().save(state)
        self.events.append(f"wrote {state.step}")
        return path


class FullStore(StateStore):
    """A store that writes nothing; tells so by `tried`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.tried = threading.Event()

    def save(self, state: TrainingState) -> Path:
        self.tried.set()
        raise RestorekitError(f"no room for step {state.step}")


def trained(job: Job, store: StateStore, note: Callable[[Report], None]) -> None:
    """Trains a job, whose states are saved at steps 3, 6 and 8."""
    train(job, ALONE, note, lambda _: store)


def test_a_training_goes_on_while_a_state_is_written_and_the_state_is_that_of_its_step(make_job: MakeJob) -> None:
    usual, slow = make_job("usual"), make_job("slow")
    store = SlowStore(slow.state)

    def note(report: Report) -> None:
        if "loss" in report.metrics:
            store.events.append(f"step {report.step}")
            if report.step == 5:
                assert StateStore(slow.state).latest_step() is None
                store.gate.set()
        if report.saving:
            store.events.append(f"next {report.step}")
            if report.step == 6:  # the state before it is there
                early = StateStore(slow.state).load_latest()
                assert early is not None
                found[early.step] = early.tensors

    found: dict[int, dict[str, torch.Tensor]] = {}
    trained(slow, store, note)
    with pytest.raises(KilledError):
        run(usual, 4)
    expected = StateStore(usual.state).load_latest()
    assert expected is not None
    assert_equal(found[expected.step], expected.tensors)
    run(usual)
    assert_equal(final(slow), final(usual))
    for order in (
        ["next 3", "begins 3", "step 5", "wrote 3", "next 6", "begins 6", "wrote 6", "next 8", "begins 8", "wrote 8"],
        ["next 3", "step 4", "step 5", "wrote 3"],
    ):
        assert [event for event in store.events if event in order] == order


def test_a_training_that_fails_waits_for_the_state_that_is_being_written(make_job: MakeJob) -> None:
    job = make_job()
    store = SlowStore(job.state)

    def note(report: Report) -> None:
        if report.step == 4 and "loss" in report.metrics:
            assert StateStore(job.state).latest_step() is None
            store.gate.set()
            raise KilledError

    with pytest.raises(KilledError):
        trained(job, store, note)
    assert StateStore(job.state).latest_step() == 3


def test_the_folder_is_locked_until_the_last_state_is_written(make_job: MakeJob) -> None:
    job, told = make_job(), list[str]()

    class Store(StateStore):
        def save(self, state: TrainingState) -> Path:
            with pytest.raises(RestorekitError, match="in use"), StateStore(job.state, lock_wait_s=0.01).locked():
                pass
            told.append(f"locked at {state.step}")
            return super().save(state)

    trained(job, Store(job.state), lambda report: None)
    assert told == ["locked at 3", "locked at 6", "locked at 8"]
    with StateStore(job.state, lock_wait_s=0.01).locked():
        pass


def test_an_error_of_a_write_ends_the_training_before_another_state(make_job: MakeJob) -> None:
    job, reports = make_job(), list[Report]()
    store = FullStore(job.state)

    def note(report: Report) -> None:
        reports.append(report)
        if report.step == 4 and "loss" in report.metrics:
            assert store.tried.wait(PATIENCE_S)

    with pytest.raises(RestorekitError, match=r"^no room for step 3$"):
        trained(job, store, note)
    assert [report.step for report in reports if report.saving] == [3]


def test_an_error_of_the_last_write_is_raised_and_one_beside_another_error_is_told(make_job: MakeJob) -> None:
    job = make_job(checkpoint_every=8)
    with pytest.raises(RestorekitError, match=r"^no room for step 8$"):
        trained(job, FullStore(job.state), lambda report: None)

    def note(report: Report) -> None:
        if report.step == 8 and "loss" in report.metrics:
            raise RestorekitError("a shard is damaged")

    job = make_job("second", checkpoint_every=7)
    with pytest.raises(RestorekitError, match=r"^a shard is damaged\nand no room for step 7$|^no room for step 7$"):
        trained(job, FullStore(job.state), note)


def test_the_best_state_is_written_before_the_state_that_knows_of_it(tmp_path: Path) -> None:
    state = TrainingState(1, begin_epoch(0, 8, 2), {"w": torch.zeros(2)}, Progress(best=1.0), "fp32")
    store, order = StateStore(tmp_path), list[str]()

    def best(copied: TrainingState) -> None:
        store.save_best(copied)
        order.append("best")

    def last(copied: TrainingState) -> None:
        order.append("last")
        assert store.load_best() is not None

    with StateWriter() as states:
        states.start(state, best, last)
        state.tensors["w"].fill_(7.0)  # the next step
    assert order == ["best", "last"]
    kept = store.load_best()
    assert kept is not None
    assert torch.equal(kept.tensors["w"], torch.zeros(2))
