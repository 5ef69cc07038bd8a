"""The training loop: takes a job from its last state to its last step, without Ray or MLflow.

A killed and restarted loop ends with the weights of an uninterrupted loop: the result of a step depends on the previous
state, the step's number and the reading plan, but on no clock and on no generator that outlives a step. (On another
kind of machine the loop continues in that machine's arithmetic.)
"""

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from restorekit.errors import RestorekitError
from restorekit.models.precision import resolved
from restorekit.rng import seed_for
from restorekit.shards.mixture import MixedReader
from restorekit.shards.plan import Cursor, begin_epoch, check_world, continue_with
from restorekit.training.batches import TrainBatch, to_unit, train_batches
from restorekit.training.finite import FiniteCheck
from restorekit.training.job import Job
from restorekit.training.learner import Learner
from restorekit.training.optimizer import learning_rate
from restorekit.training.phases import Progress, first_phase_folder, phase_steps
from restorekit.training.state import StateStore, TrainingState
from restorekit.training.state_writer import StateWriter
from restorekit.training.validation import check_memory, quality, validate
from restorekit.training.world import World

SMALLER_IMAGES = "Lower short_side of the data set, or take smaller real pairs (real.validate)"


@dataclass(frozen=True)
class Report:
    """A report of the loop, on every rank at the same steps; its metrics cover all ranks together."""

    step: int  # updates made
    metrics: dict[str, float]
    picture: np.ndarray | None = None  # uint8 H x W x 3: degraded | restored | clean, on the first rank
    saving: bool = False  # a state of this step comes next; the states before it are on disk
    resumed: bool = False  # the first report of a loop that continues from a state
    batch: TrainBatch | None = None  # with `trace`: this rank's batch of this step
    first_phase: Path | None = None  # the folder that keeps the first phase or, with `resumed`, gave it


def train(
    job: Job,
    world: World,
    report: Callable[[Report], None],
    open_states: Callable[[Path], StateStore] = StateStore,
) -> None:
    """Takes `job` to its last step. Every rank of `world` calls it; the first one writes the states.

    `open_states` opens the states of a folder. Raises RestorekitError where the data does not feed the world, the state
    is in use, damaged or cannot be written, or a gradient is not finite.
    """
    config, store = job.config.in_world(world.size), open_states(job.state)
    with ExitStack() as held:
        if world.is_first:
            held.enter_context(store.locked())
        states = held.enter_context(StateWriter())
        world.wait()
        learner = Learner(replace(job, config=config), world)
        first = _first_phase(job, learner, open_states)
        step, cursor, progress, taken = _resume(job, world, learner, store, first)
        precision = resolved(config.precision, world.device)
        if step:
            place = {"epoch": float(cursor.epoch), "step_in_epoch": float(cursor.step)}
            report(Report(step, place, resumed=True, first_phase=taken))
        if step >= config.steps:
            return

        check_memory(job, world, learner)
        clock, check = _Clock(world), FiniteCheck(world, lambda: learner.ema.weights.values())
        for batch in train_batches(
            job.train_shards, cursor, world.place, config.loader_workers, job.seed, config.crop, config.flips
        ):
            clock.data_arrived()
            torch.manual_seed(seed_for(job.seed, "step", step, world.rank))
            lr = learning_rate(config, step - progress.began, phase_steps(learner.phase, progress, config.steps))
            losses = _update(learner, batch, lr, step)
            check.expect(step, batch.keys, losses, learner.finite)
            step, cursor = step + 1, batch.cursor
            learner.ema.update(learner.model, step - progress.began)
            clock.step_done(config.global_batch)
            states.check()

            if config.trace:
                report(Report(step, {}, batch=batch))
            last = step == config.steps
            if step % config.log_every == 0 or last:
                check.catch_up()
                figures = _averaged(losses, batch.weight, world) | {"lr": lr} | clock.figures()
                report(Report(step, figures | ({} if learner.has_one_phase else {"phase": float(progress.phase)})))
            is_best = False
            if step % config.validate_every == 0 or last:
                check.catch_up()
                with _saying_what_to_set("a validation image whole", SMALLER_IMAGES, world, step):
                    validation = validate(job, world, learner)
                progress = progress.validated(learner.phase, validation.metrics)
                found = quality(validation.metrics, job.choosing)
                if progress.best is None or found > progress.best:
                    progress, is_best = replace(progress, best=found), learner.in_last_phase
                report(Report(step, validation.metrics, validation.picture))
            if not learner.in_last_phase and progress.is_over(learner.phase, step) and not last:
                check.catch_up()
                learner.settle()
                progress = progress.next(step)
                if first is not None and progress.phase == 1:
                    if world.is_first:
                        states.start(
                            TrainingState(step, cursor, learner.learnt(), progress, precision), first.save_once
                        )
                    report(Report(step, {}, first_phase=first.folder))
                learner.enter(progress.phase)
            is_kept = step % config.checkpoint_every == 0 or last
            if is_kept:
                check.catch_up()
                states.settle()
                report(Report(step, {}, saving=True))
            if world.is_first and (is_best or is_kept):
                # The best one first: the progress in the other says that it is there.
                saves = [*([store.save_best] if is_best else []), *([store.save] if is_kept else [])]
                states.start(TrainingState(step, cursor, learner.tensors(), progress, precision), *saves)
            if last:
                return
            clock.restart()


def _first_phase(job: Job, learner: Learner, open_states: Callable[[Path], StateStore]) -> StateStore | None:
    """The store of the first phase's end, for a learner with its first weights; None for a training of one phase."""
    if job.phases is None or learner.has_one_phase:
        return None
    return open_states(first_phase_folder(job, learner.phase, learner.learnt()))


def _resume(
    job: Job, world: World, learner: Learner, store: StateStore, first: StateStore | None
) -> tuple[int, Cursor, Progress, Path | None]:
    """(step, cursor, progress, folder of the first phase) after the newest state was restored, if there is one.

    Without a state, the end of the first phase comes from another training that kept it; only then is there a folder.
    The cursor continues with the same batches, whatever the world of the state was.
    """
    shape = (MixedReader(job.train_shards, job.seed).num_samples, job.config.global_batch)
    check_world(shape[0], world.size, shape[1])
    state = store.load_latest()
    if state is not None:
        try:
            learner.restore(state.tensors, state.progress.phase)
        except (KeyError, IndexError, RuntimeError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise RestorekitError(
                f"the state of step {state.step} in {store.folder} does not fit this training ({reason}): "
                f"remove the folder to train from the start"
            ) from error
        return state.step, continue_with(state.cursor, *shape), state.progress, None
    # Another training may be writing the phase at this moment, so the first rank decides for all.
    if first is None or not world.first_answers(first.latest_step() is not None):
        return 0, begin_epoch(0, *shape), Progress(), None
    kept = first.load_latest()
    assert kept is not None
    learner.take(kept.tensors)
    learner.enter(kept.progress.phase)
    return kept.step, continue_with(kept.cursor, *shape), kept.progress, first.folder


def _update(learner: Learner, batch: TrainBatch, lr: float, step: int) -> dict[str, Tensor]:
    config = learner.config
    images = {name: to_unit(image, learner.world.device) for name, image in batch.images.items()}
    with _saying_what_to_set(
        f"{len(batch.keys)} samples of {config.crop} pixels in {config.accumulate} parts",
        "Raise train.accumulate, lower the batch (train.batch_size or train.batch_per_worker) or train.crop, set "
        "precision: bf16, or for glsgn options.recompute: true",
        learner.world,
        step,
    ):
        return learner.update(images, batch.weight, lr)


@contextmanager
def _saying_what_to_set(what: str, remedy: str, world: World, step: int) -> Iterator[None]:
    """Turns an out-of-memory of the GPU or, where torch notices it, of the machine into a RestorekitError."""
    try:
        yield
    except RuntimeError as error:  # torch has a type of its own for a GPU's
        if not isinstance(error, torch.OutOfMemoryError) and "DefaultCPUAllocator" not in str(error):
            raise
        whose, said = "GPU" if world.device.type == "cuda" else "machine", str(error).strip().partition("\n")[0]
        raise RestorekitError(f"step {step}: the {whose}'s memory does not hold {what} ({said}). {remedy}") from error


def _averaged(values: dict[str, Tensor], weight: float, world: World) -> dict[str, float]:
    """Means over the samples of all ranks; the gradient's norm is already that of the mean gradient."""
    weights = torch.tensor([1.0 if name == "grad_norm" else weight for name in values], dtype=torch.float64)
    sums = world.sum(torch.stack([value.double() for value in values.values()]).cpu() * weights)
    return dict(zip(values, (sums / world.size).tolist(), strict=True))


class _Clock:
    """Speed, waiting and memory since the last figures were taken."""

    def __init__(self, world: World) -> None:
        self._device = world.device
        self.restart()
        self._reset()

    def restart(self) -> None:
        self._began = time.perf_counter()

    def data_arrived(self) -> None:
        self._waited += time.perf_counter() - self._began

    def step_done(self, num_samples: int) -> None:
        self._spent += time.perf_counter() - self._began
        self._samples += num_samples

    def figures(self) -> dict[str, float]:
        figures = {
            "samples_per_s": self._samples / self._spent,
            "data_wait_share": self._waited / self._spent,
            "memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        }
        if self._device.type == "cuda":
            figures["gpu_memory_gib"] = torch.cuda.max_memory_allocated(self._device) / 2**30
        self._reset()
        return figures

    def _reset(self) -> None:
        self._waited, self._spent, self._samples = 0.0, 0.0, 0
