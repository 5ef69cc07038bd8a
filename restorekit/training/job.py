"""A job: all settings that the weights of a training depend on, in one value that travels to the workers as JSON."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from restorekit.config import DEFAULTS, Run, TrainConfig, read_run
from restorekit.errors import RestorekitError
from restorekit.files import digest_of, sha256_file
from restorekit.provenance import sources, sources_digest
from restorekit.shards.manifest import ShardManifest
from restorekit.storage import address_of, fetch_file, local_path
from restorekit.training.start import Start


@dataclass(frozen=True)
class Job:
    """One training. Every worker reaches its folders."""

    run: str
    task: str
    seed: int
    spec: Run
    config: TrainConfig
    shards: Path  # of the first data set; holds train/ and val/
    state: Path
    phases: Path | None = None  # keeps first phases for other trainings; None: keeps none
    choosing: Mapping[str, Path] = field(default_factory=dict)  # real sets that choose the best state: their shards
    others: tuple[Path, ...] = ()  # shards of the run's other data sets, in the order of its shares
    start: Start | None = None  # weights of another model to start from; None: they are drawn

    @property
    def train_shards(self) -> dict[Path, float]:
        """The folders of the training samples, each with its data set's share, the first set's first."""
        folders = (self.shards, *self.others)
        return {folder / "train": share for folder, share in zip(folders, self.spec.shares.values(), strict=True)}

    def to_json(self) -> dict[str, Any]:
        travelling = _with_files(self.spec, lambda _, file: address_of(Path(file)))
        return {
            "run": self.run, "task": self.task, "seed": self.seed,
            "spec": travelling.model_dump(mode="json", exclude_unset=True),
            "config": self.config.model_dump(mode="json"),
            "shards": address_of(self.shards), "state": address_of(self.state),
            "phases": None if self.phases is None else address_of(self.phases),
            "choosing": {name: address_of(shards) for name, shards in self.choosing.items()},
            "others": [address_of(folder) for folder in self.others],
            "start": None if self.start is None else self.start.to_json(),
        }  # fmt: skip

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Job":
        return cls(
            value["run"], value["task"], value["seed"],
            _with_files(read_run(value["spec"]), lambda _, file: str(fetch_file(local_path(file)))),
            TrainConfig.model_validate(value["config"]), local_path(value["shards"]), local_path(value["state"]),
            None if value["phases"] is None else local_path(value["phases"]),
            {name: local_path(shards) for name, shards in value["choosing"].items()},
            tuple(local_path(folder) for folder in value["others"]),
            None if value["start"] is None else Start.from_json(value["start"]),
        )  # fmt: skip


# Settings that change the speed or the safety of a training and not its weights; a training resumes across them. The
# number of workers counts by the size of the batch where `batch_per_worker` multiplies it.
OPERATIONAL = (
    "checkpoint_every",
    "log_every",
    "validate_every",
    "num_workers",
    "threads_per_worker",
    "loader_workers",
    "max_failures",
    "resize_every_s",
    "trace",
)


def job_digest(job: Job, shard_digests: Iterable[str]) -> str:
    """The digest of parameters, data and sources that names a training's state; the git revision is not in it.

    Settings count if they differ from their defaults, so that a new option with a default restarts nothing. A file of
    weights counts by its bytes, not by its path. Real sets count where they choose the state that is exported; where
    the last state is, they only draw curves.
    """
    settings = job.config.counting(set(OPERATIONAL))
    weights = {field: sha256_file(path) for field, path in weight_files(job.spec).items()}
    # `settings`, job.seed and job.start hold the excluded values.
    spec = job.spec.model_dump(mode="json", exclude={"train", "seed", "start_from"}, exclude_defaults=True)
    for setting in weights:
        section, _, field = setting.partition(".")
        del spec[section][field]
    counting: list[Any] = [job.run, spec, weights, settings, DEFAULTS, job.seed, list(shard_digests)]
    counting.append(training_sources(job.spec.model))
    if job.choosing and job.config.export == "best":
        counting.append(sorted(ShardManifest.load(shards).digest for shards in job.choosing.values()))
    if job.start is not None:
        counting.append({"start": job.start.digest})
    return digest_of(counting)


def training_sources(model: str) -> str:
    """The digest of the sources that the weights of a model's runs depend on."""
    networks = (f"restorekit.models.{model}", f"restorekit.objectives.{model}")
    return sources_digest(sources("restorekit.training.loop", *networks, stage="training state", models=[model]))


def weight_files(spec: Run) -> dict[str, Path]:
    """The user's files of weights that a run reads, by the setting that names each."""
    named = {}
    for setting in spec.weight_files:
        section, _, field = setting.partition(".")
        named[setting] = getattr(getattr(spec, section), field)
    return {setting: Path(file) for setting, file in named.items() if file is not None}


def with_weight_files(spec: Run, run: str, root: Path) -> Run:
    """The run with absolute paths of its weight files, relative ones below `root`: workers have other current folders.

    Raises RestorekitError where a file is missing.
    """

    def absolute(setting: str, file: str) -> str:
        found = fetch_file((root / file).resolve())
        if not found.is_file():
            raise RestorekitError(f"runs.{run}.{setting}: there is no file {found}")
        return str(found)

    return _with_files(spec, absolute)


def _with_files(spec: Run, change: Callable[[str, str], str]) -> Run:
    """The run with `change(setting, text)` in place of the text of each setting that names a file of weights."""
    for setting in spec.weight_files:
        section, _, field = setting.partition(".")
        file = getattr(getattr(spec, section), field)
        if file is not None:
            changed = getattr(spec, section).model_copy(update={field: change(setting, file)})
            spec = spec.model_copy(update={section: changed})
    return spec
