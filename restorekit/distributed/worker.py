"""A worker of a training: the loop with its recorder and trace, on a cluster or alone in this process.

A training of one worker needs no cluster: Ray's own processes take ten seconds to start, and half a minute of
processor time. An error costs the steps since the last state in either case.
"""

import re
import traceback
from collections.abc import Callable
from dataclasses import replace

import cv2
import torch

from restorekit.cluster import keep_freed_memory
from restorekit.distributed.figures import Logger
from restorekit.distributed.lease import open_states
from restorekit.distributed.progress_bar import note_event, progress_bar
from restorekit.distributed.recorder import Recorder
from restorekit.distributed.trace import TraceWriter
from restorekit.errors import RestorekitError
from restorekit.files import FULL, write_atomically
from restorekit.storage import fetch_file, push_file, remote_of
from restorekit.training.job import Job
from restorekit.training.loop import Report, train
from restorekit.training.world import World, agreed, tune

REFUSAL = "refused.txt"  # in the state's folder: the reason why another attempt would fail, too
KEPT_BYTES = 2**30  # of freed memory


def fit_here(job: Job, open_logger: Callable[[], Logger] | None = None) -> None:
    """Trains `job`, which has one worker and no GPU, in this process; returns after its last step.

    After an unforeseen error the loop goes on from the last state, `train.max_failures` times, as it would on a
    cluster. Raises RestorekitError with the reason and the remedy.
    """
    clear_refusal(job)
    world = World(0, 1, torch.device("cpu"))
    failures = 0
    with progress_bar(job):
        while True:
            try:
                work(job, world, open_logger, "localhost")
                break
            except Exception as error:  # named in the events, or in the message of the last attempt
                failures += 1
                if failures > job.config.max_failures:
                    raise explained("".join(traceback.format_exception(error)), job) from error
                note_event(job, f"warning: {type(error).__name__}: {error}; going on from the last state")
    raise_refusal(job)


def work(
    job: Job,
    world: World,
    open_logger: Callable[[], Logger] | None,
    node: str,
    saved: Callable[[int], None] = lambda step: None,
) -> None:
    """Runs the loop as one rank of `world` on the machine `node`, and calls `saved` with the step of each state.

    Where another attempt would fail, too, the job's refusal has the reason.
    """
    if fetch_file(job.state / REFUSAL).exists():
        return  # an earlier attempt of this fit was refused; the driver reports the reason
    torch.set_num_threads(job.config.threads_per_worker)
    cv2.setNumThreads(0)
    # Otherwise a step of DAKD has 31000 to 38000 more page faults and takes 6 to 9 % more processor time.
    keep_freed_memory(KEPT_BYTES, KEPT_BYTES)
    tune(world.device, job.config.tf32)
    precision = agreed(job.config.precision, world)
    job = replace(job, config=job.config.model_copy(update={"precision": precision}))
    recorder = Recorder(job, open_logger) if world.is_first else None
    trace = TraceWriter(job.state, world, node) if job.config.trace else None

    def note(report: Report) -> None:
        if trace is not None:
            trace.note(report)
        if recorder is not None:
            recorder.note(report)
        if report.saving:
            saved(report.step)

    try:
        train(job, world, note, open_states)
        if recorder is not None:
            recorder.end()
    except (RestorekitError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in FULL:
            raise
        reason = str(error) if isinstance(error, RestorekitError) else f"{error}: make room, run the same command again"
        _refuse(job, reason)
        if world.size > 1:
            raise RestorekitError(reason) from error  # the other workers wait for this worker; the error ends them, too


def clear_refusal(job: Job) -> None:
    """Removes the refusal of an earlier fit."""
    refusal = job.state / REFUSAL
    refusal.unlink(missing_ok=True)
    remote = remote_of(refusal)
    if remote is not None:
        remote.remove()


def raise_refusal(job: Job) -> None:
    """Raises the reason why a worker gave up, if one did."""
    refusal = fetch_file(job.state / REFUSAL)
    if refusal.exists():
        raise RestorekitError(refusal.read_text())


def _refuse(job: Job, reason: str) -> None:
    """Records, for the driver and later attempts of this fit, the reason why another attempt would fail, too."""
    refusal = job.state / REFUSAL
    try:
        with write_atomically(refusal) as partial:
            partial.write_text(reason)
        push_file(refusal)
    except OSError as error:  # no room even for this file; Ray tries again in vain and then reports the error
        raise RestorekitError(reason) from error


def explained(error: str, job: Job) -> RestorekitError:
    """The worker's own message if there is one, else the text of the error, and the remedy."""
    if fetch_file(job.state / REFUSAL).exists():
        return RestorekitError((job.state / REFUSAL).read_text())
    last = open_states(job.state).latest_step()
    kept = f"a state of step {last} is kept" if last is not None else "no state was saved yet"
    own = re.search(r"RestorekitError: (.*)\Z", error.strip(), re.DOTALL)
    reason = own.group(1) if own else error
    return RestorekitError(f"training '{job.run}' failed: {reason}\n{kept}: run the same command to go on from it")
