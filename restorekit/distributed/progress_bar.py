"""A progress bar in the driver, from the curves and events that the first worker writes into the job's folder."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from restorekit.distributed.figures import CURVES, CurveTail
from restorekit.distributed.lease import open_states
from restorekit.training.job import Job

EVERY_S = 1.0
EVENTS = "events.log"
LINE = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {whole}, {rate_fmt}{postfix}]"


def note_event(job: Job, text: str) -> None:
    """Adds a line to the job's events, which the driver shows."""
    with (job.state / EVENTS).open("a") as file:
        file.write(f"{text}\n")


class ProgressBar(tqdm):
    """A bar that also says how long all steps of this call will take, so that nobody need work it out."""

    @property
    def format_dict(self) -> dict[str, Any]:
        known = super().format_dict
        made, steps = known["n"] - known["initial"], known["total"] - known["initial"]
        known["whole"] = f"about {self.format_interval(known['elapsed'] * steps / made)} in all" if made else "starting"
        return known


@contextmanager
def progress_bar(job: Job) -> Iterator[None]:
    """Shows steps and the last loss while the body runs; without a terminal, one line every 15 seconds."""
    stop = threading.Event()
    interval = 0.1 if sys.stderr.isatty() else 15.0
    done = open_states(job.state).latest_step() or 0
    settings: dict[str, Any] = {"mininterval": interval, "maxinterval": interval * 2, "bar_format": LINE}
    with ProgressBar(total=job.config.steps, initial=done, desc=job.run, unit="step", **settings) as bar:
        watcher = threading.Thread(target=_watch, args=(job, bar, stop), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()


def _watch(job: Job, bar: ProgressBar, stop: threading.Event) -> None:
    curves, events = CurveTail(job.state / CURVES), job.state / EVENTS
    shown = _size(events)
    while True:
        ended = stop.wait(EVERY_S)
        if _size(events) > shown:
            with events.open("rb") as file:
                file.seek(shown)
                text = file.read()
            shown += len(text)
            for line in text.decode().splitlines():
                bar.write(f"{job.run}: {line}")
        rows = curves.new_rows()
        if rows:
            losses = [value for _, name, value in rows if name == "loss"]
            if losses:
                bar.set_postfix(loss=f"{losses[-1]:.3g}", refresh=False)
            bar.update(max(0, rows[-1][0] - bar.n))
        if ended:
            return


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
