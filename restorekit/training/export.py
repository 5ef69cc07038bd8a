"""The export of a finished training: data/models/<run>/ with the averaged weights, the record and the curves."""

import shutil
from pathlib import Path
from typing import Any

from restorekit.errors import RestorekitError
from restorekit.models import create_model
from restorekit.models.checkpoint import save_model
from restorekit.storage import fetch_file
from restorekit.training.job import Job
from restorekit.training.state import StateStore, unpack


def export_model(job: Job, store: StateStore, folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Writes a model folder: the averaged weights of the job's last or best state, the record, the curves.

    Returns the whole record. Raises RestorekitError where the training has not reached its last step.
    """
    state = store.load_latest()
    if state is None or state.step < job.config.steps:
        reached = 0 if state is None else state.step
        raise RestorekitError(
            f"'{job.run}' is at step {reached} of {job.config.steps}: run the training again to finish it"
        )
    if job.config.export == "best":
        state = store.load_best() or state
    model = create_model(job.spec.model, **job.spec.options.model_dump())
    model.load_state_dict(unpack("model", state.tensors) | unpack("ema", state.tensors))
    described = {
        "run": job.run,
        "model": job.spec.model,
        "task": job.task,
        "dataset": job.spec.data_in_words,
        "options": job.spec.options.model_dump(mode="json"),
        "seed": job.seed,
        "steps": state.step,
        "flips": list(job.config.flips),
        "precision": state.precision,
    }
    if job.config.export == "best" and job.choosing:
        described["chosen_by"] = list(job.choosing)
    written = save_model(folder, model, described | record)
    curves = fetch_file(job.state / "curves.csv")
    if curves.exists():
        shutil.copyfile(curves, folder / "curves.csv")
    return written
