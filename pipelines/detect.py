"""shards -> data/long/detector/: the network that finds out what is wrong with a photo, trained on this machine.

python -m pipelines.detect --params pipelines/long/params.yaml
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from restorekit.config import Params, load_params
from restorekit.detection.calibration import calibrate, figures, judge
from restorekit.detection.folder import save_detector
from restorekit.detection.training import train_detector, training_digest
from restorekit.entry import run_entry, stage_parser
from restorekit.files import read_json, write_atomically, write_json
from restorekit.paths import Paths, working_root
from restorekit.provenance import git_revision, unchanged
from restorekit.shards.manifest import ShardManifest
from restorekit.tracking.runs import RunLogger
from restorekit.tracking.store import ensure_store


def main() -> None:
    found = stage_parser(__doc__).parse_args()
    read = partial(load_params, Path("params.yaml"), found.params)
    params = read()
    shares = params.detector_sets()
    paths = working_root().with_areas(params.areas, params.pipeline)
    torch.set_num_threads(params.detector.threads)
    with unchanged("detect", lambda: settings(read())) as check:
        folders = {paths.shards(name): share for name, share in shares.items()}
        train = {folder / "train": share for folder, share in folders.items()}
        seed = params.seed + params.detector.seed
        digest = training_digest(params.detector, seed, train)
        state = paths.state(f"detector-{digest[:16]}")
        logger = open_run(params, state, {"job_digest": digest}, paths)

        def report(step: int, values: Mapping[str, float]) -> None:
            print(f"step {step} of {params.detector.steps}: loss {values['loss']:.4f}", flush=True)
            logger.log_metrics(values, step)

        try:
            network = train_detector(params.detector, seed, train, state, report)
            judged = judge(network, params.detector, seed, [folder / "val" for folder in folders])
            calibration = calibrate(judged, params.detector.false_alarms)
            validation = figures(judged, calibration)
            logger.log_metrics({f"val/{name}": value for name, value in validation.items()}, params.detector.steps)
            check()
            record = {
                "seed": seed, "steps": params.detector.steps, "job_digest": digest, "git_revision": git_revision(),
                "datasets": {folder.name: ShardManifest.load(folder / "train").digest for folder in folders},
                "validation": validation, "mlflow_run_id": logger.run_id,
            }  # fmt: skip
            with write_atomically(paths.detector) as partial_folder:
                partial_folder.mkdir()
                made = save_detector(partial_folder, network, calibration, record)
        except BaseException:
            logger.finish("FAILED")
            raise
    logger.finish()
    for name, value in validation.items():
        print(f"{name}: {value:.3f}")
    print(f"detector in {paths.detector}, digest {made['digest'][:12]}")


def settings(params: Params) -> list[Any]:
    """The parameters that the detector depends on."""
    return [params.seed, params.detector]


def open_run(params: Params, state: Path, tags: dict[str, str], paths: Paths) -> RunLogger:
    """The MLflow run of this training; an interrupted training continues its first run."""
    uri = ensure_store(paths.root)
    note = state / "mlflow_run.json"
    known = read_json(note, "note of the MLflow run", f"remove {note}")["run_id"] if note.exists() else None
    logger = RunLogger.start(uri, "detector", known, tags)
    logger.log_params(params.detector.model_dump(mode="json"))
    state.mkdir(parents=True, exist_ok=True)
    write_json(note, {"run_id": logger.run_id})
    return logger


if __name__ == "__main__":
    run_entry(main)
