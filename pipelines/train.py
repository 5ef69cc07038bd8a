"""shards -> data/models/<run>/ and a registered version, trained on this machine or on the cluster of `RAY_ADDRESS`.

python -m pipelines.train --run dmgn-reflection
python -m pipelines.train --params pipelines/more/params.yaml --run dmgn-rain
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from restorekit.cluster import ray_cluster
from restorekit.config import Params, Run, load_params
from restorekit.distributed.figures import CURVES, best_steps, read_curves, send_unsent, write_plots
from restorekit.distributed.lease import open_states
from restorekit.distributed.ray_train import fit, fits_here, local_cpus
from restorekit.distributed.worker import fit_here
from restorekit.entry import run_entry, stage_parser
from restorekit.files import digest_of, read_json, write_atomically, write_json
from restorekit.paths import Paths, working_root
from restorekit.provenance import git_revision, unchanged
from restorekit.shards.manifest import ShardManifest
from restorekit.shards.mixture import MixedReader
from restorekit.shards.plan import check_world
from restorekit.storage import fetch_file, push, push_file
from restorekit.tracking.named import load_named
from restorekit.tracking.registry import find_or_register
from restorekit.tracking.runs import RunLogger
from restorekit.tracking.store import ensure_store
from restorekit.training.export import export_model
from restorekit.training.job import Job, job_digest, with_weight_files
from restorekit.training.start import Start, keep_start


def main() -> None:
    parser = stage_parser(__doc__)
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--run", help="a key of `runs`")
    chosen.add_argument("--ablations", metavar="RUN", help="all ablations of a run, of which there may be none")
    found = parser.parse_args()
    read = partial(load_params, Path("params.yaml"), found.params)
    params = read()
    paths = working_root().with_areas(params.areas)
    if found.ablations:
        folder = paths.ablations_of(params.run(found.ablations).model, found.ablations)
        (folder / "models").mkdir(parents=True, exist_ok=True)
    runs = params.ablations_of(found.ablations) if found.ablations else [found.run]
    with unchanged("train", lambda: settings(runs, read())) as check:
        for run in runs:
            train_run(run, params, paths, check)


def settings(runs: list[str], params: Params) -> list[Any]:
    """The parameters that the weights of runs depend on."""
    tasks = [params.tasks_of(params.run(name)) for name in runs]
    real = [params.real_choosing(params.run(name)) for name in runs]
    return [params.seed, [params.run(name) for name in runs], [params.training(name) for name in runs], tasks, real]


def train_run(name: str, params: Params, paths: Paths, check: Callable[[], None] = lambda: None) -> None:
    """Trains a run from its last state to the end, writes data/models/<run>/ as a whole, and registers the model."""
    job, digests = make_job(name, params, paths)
    state = open_states(job.state).load_latest()
    done = 0 if state is None else state.step
    print(f"{name}: {done} of {job.config.steps} steps are done, state in {job.state}", flush=True)
    logger = open_run(job, digests, paths)
    with failed_on_error(logger):
        if done < job.config.steps:
            open_logger = partial(RunLogger, logger.uri, logger.run_id)
            if fits_here(job):
                fit_here(job, open_logger)
            else:
                with ray_cluster(num_cpus=local_cpus(job)):
                    fit(job, open_logger)
        check()
        named = {"registered_name": params.registered_name(name)}
        record = {**digests, **named, "git_revision": git_revision(), "mlflow_run_id": logger.run_id}
        with write_atomically(paths.model(name)) as folder:
            steps = export_model(job, open_states(job.state), folder, record)["steps"]
            write_plots(folder / "curves.csv", folder)
        push(paths.model(name))
        send_unsent(job.state, logger)
        version = find_or_register(paths.model(name), paths.root)
    logger.finish()
    best = best_steps(read_curves(paths.model(name) / CURVES))
    print(f"{name}: highest gain in validation: {'; '.join(map(str, best))}; step {steps} is exported")
    print(f"{name}: model in {paths.model(name)}, registered as {version.name} version {version.version}")


def make_job(name: str, params: Params, paths: Paths) -> tuple[Job, dict[str, str]]:
    """The job of a run, with the state folder named by its digest, and the digests for the model's record."""
    spec, config = with_weight_files(params.run(name), name, paths.root), params.training(name)
    shards, *others = (paths.shards(dataset) for dataset in spec.shares)
    real = {one: paths.validation / one for one in params.real_choosing(spec)}
    seed, task = params.seed + spec.seed, params.task_of(spec)
    start = first_weights(name, spec, paths)
    state = paths.state(name)
    job = Job(name, task, seed, spec, config, shards, state, choosing=real, others=tuple(others), start=start)
    num_samples = MixedReader(job.train_shards, seed).num_samples
    check_world(num_samples, config.most_workers, config.global_batch)
    first, *more = (ShardManifest.load(folder).digest for folder in job.train_shards)
    digest = job_digest(job, [first, ShardManifest.load(shards / "val").digest, *more])
    job = replace(job, state=paths.state(f"{name}-{digest[:16]}"), phases=paths.state("phases"))
    digests = {"job_digest": digest, "shards_digest": digest_of([first, *more]) if more else first}
    if start is not None:
        digests |= {"start_from": str(spec.start_from), "start_digest": start.digest}
    return job, digests


def first_weights(name: str, spec: Run, paths: Paths) -> Start | None:
    """The weights of the model that a run starts from, in the folder of states, where every worker reaches them."""
    if spec.start_from is None:
        return None
    model, record = load_named(spec.start_from, paths.root)
    return keep_start(spec, name, model, record, paths.state("starts"))


def open_run(job: Job, digests: dict[str, str], paths: Paths) -> RunLogger:
    """The MLflow run of this training; an interrupted training continues its first run."""
    uri = ensure_store(paths.root)
    note = fetch_file(job.state / "mlflow_run.json")
    known = read_json(note, "note of the MLflow run", f"remove {note}")["run_id"] if note.exists() else None
    logger = RunLogger.start(uri, job.run, known, digests)
    spec = job.spec.model_dump(exclude={"train", "seed"})
    logger.log_params({"run": job.run, "seed": job.seed, **spec, **vars(job.config)})
    write_json(note, {"run_id": logger.run_id})
    push_file(note)
    return logger


@contextmanager
def failed_on_error(logger: RunLogger) -> Iterator[None]:
    """Marks the MLflow run as failed if the body raises; the next call of the stage continues the same run."""
    try:
        yield
    except BaseException:
        logger.finish("FAILED")
        raise


if __name__ == "__main__":
    run_entry(main)
