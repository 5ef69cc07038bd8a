"""The first rank's record of a training: figures go to the curves file and the logger, events to a log."""

import shutil
from collections.abc import Callable
from pathlib import Path

import torch

from restorekit.config import TrainConfig
from restorekit.distributed.figures import CURVES, CurveWriter, Logger, Outbox
from restorekit.distributed.progress_bar import EVENTS, note_event
from restorekit.files import write_atomically
from restorekit.storage import fetch_file, push_file
from restorekit.training.job import Job
from restorekit.training.loop import Report
from restorekit.training.world import compile_warning, precision_warning


class Recorder:
    """Takes the first rank's reports to the curves file, the events and the logger."""

    def __init__(self, job: Job, open_logger: Callable[[], Logger] | None) -> None:
        self._job, self._open_logger = job, open_logger
        self._outbox: Outbox | None = None
        self._curves: CurveWriter | None = None

    def note(self, report: Report) -> None:
        job = self._job
        if self._curves is None:
            # The loop has locked the state's folder for this process before its first report.
            for name in (CURVES, EVENTS):
                fetch_file(job.state / name)
            if report.resumed and report.first_phase is not None:
                _copy(report.first_phase / CURVES, job.state / CURVES)
            self._curves = CurveWriter(job.state / CURVES, report.step if report.resumed else 0)
            if self._open_logger is not None:
                self._outbox = Outbox(job.state, self._open_logger, lambda text: note_event(job, text))
            device = torch.device("cuda" if job.config.use_gpu else "cpu")
            began = "resumed" if report.resumed else "began"
            note_event(job, f"{began} {_place(report, job)}, in {_arithmetic(job.config)}")
            for warning in _warnings(job.config, device):
                note_event(job, warning)
        if report.resumed:
            return
        self._curves.append(report.step, report.metrics)
        if self._outbox is not None and report.metrics:
            self._outbox.log_metrics(report.metrics, report.step)
            if report.picture is not None:
                self._outbox.log_picture("validation", report.picture, report.step)
        if report.first_phase is not None:
            _copy(job.state / CURVES, report.first_phase / CURVES)
        if report.saving:
            self._store(report.step)

    def end(self) -> None:
        """Makes a last attempt to send the logger all figures, and stores curves and events."""
        if self._outbox is not None and not self._outbox.flush(now=True):
            note_event(self._job, "warning: the tracking server did not answer until the end of the training")
        if self._curves is not None:
            self._store(self._job.config.steps)

    def _store(self, step: int) -> None:
        if self._outbox is not None:
            self._outbox.save(step)
        for name in (CURVES, EVENTS):
            push_file(self._job.state / name)


def _arithmetic(config: TrainConfig) -> str:
    """The precision; on a GPU also whether products of float32 are rounded to TF32."""
    return config.precision + (f", {'with' if config.tf32 else 'without'} TF32" if config.use_gpu else "")


def _warnings(config: TrainConfig, device: torch.device) -> list[str]:
    """Lines for the user about settings that this machine cannot follow."""
    compiling = compile_warning(device.type) if config.compile else None
    return [warning for warning in (compiling, precision_warning(config.precision, device)) if warning]


def _copy(curves: Path, to: Path) -> None:
    """Copies the curves of a first phase, where there are any, unless `to` is there already."""
    if fetch_file(curves).exists() and not fetch_file(to).exists():
        with write_atomically(to) as partial:
            shutil.copyfile(curves, partial)
        push_file(to)


def _place(report: Report, job: Job) -> str:
    if not report.resumed:
        return f"with {job.config.steps} steps to go"
    if report.first_phase is not None:
        return f"at step {report.step} of {job.config.steps}, with the first phase of {report.first_phase}"
    epoch, into = report.metrics["epoch"], report.metrics["step_in_epoch"]
    return f"at step {report.step} of {job.config.steps}: {into:.0f} steps into epoch {epoch:.0f}"
