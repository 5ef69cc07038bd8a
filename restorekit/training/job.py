"""What a training is: everything its weights depend on, in one value that travels to the workers as JSON."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from restorekit.config import DmgnRun, TrainConfig
from restorekit.files import digest_of

PACKAGE = Path(__file__).resolve().parent.parent
# What a training's result depends on beside its parameters and its shards; the deps of the train stage in dvc.yaml are
# the same (a test compares them). `{model}` keeps one model's sources from retraining another's runs.
SOURCES = (
    "image",
    "losses",
    "metrics/psnr.py",
    "models/__init__.py",
    "models/checkpoint.py",
    "models/{model}",
    "models/trunks.py",
    "objectives/__init__.py",
    "objectives/{model}.py",
    "rng.py",
    "shards/augmentation.py",
    "shards/plan.py",
    "shards/reader.py",
    "training",
)


@dataclass(frozen=True)
class Job:
    """One training; `shards` and `state` are folders that every worker reaches."""

    run: str
    task: str
    seed: int
    spec: DmgnRun
    config: TrainConfig
    shards: Path  # holds train/ and val/
    state: Path

    def to_json(self) -> dict[str, Any]:
        return {
            "run": self.run, "task": self.task, "seed": self.seed, "spec": self.spec.model_dump(mode="json"),
            "config": self.config.model_dump(mode="json"), "shards": str(self.shards), "state": str(self.state),
        }  # fmt: skip

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Job":
        return cls(
            value["run"], value["task"], value["seed"], DmgnRun.model_validate(value["spec"]),
            TrainConfig.model_validate(value["config"]), Path(value["shards"]), Path(value["state"]),
        )  # fmt: skip


# Settings that change how fast or how safely a run is trained, and not what it is; a run resumes across them.
OPERATIONAL = ("checkpoint_every", "log_every", "num_workers", "threads_per_worker", "loader_workers", "max_failures")


def job_digest(spec: DmgnRun, config: TrainConfig, seed: int, shard_digests: Iterable[str], sources: str) -> str:
    """The digest that names a training's state: parameters, data and sources, and not the git revision."""
    settings = config.model_dump(mode="json", exclude=set(OPERATIONAL))
    return digest_of([spec.model_dump(mode="json", exclude={"train"}), settings, seed, list(shard_digests), sources])


def sources_of(model: str) -> list[str]:
    """The files and folders below the package that the runs of a model depend on."""
    return [source.format(model=model) for source in SOURCES]


def sources_digest(model: str) -> str:
    """SHA-256 over the names and texts of the modules that a model's runs depend on."""
    digest = sha256()
    for source in sources_of(model):
        path = PACKAGE / source
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            digest.update(f"{file.relative_to(PACKAGE).as_posix()}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()
