"""All parameters of a pipeline as one value: the sections of params.yaml, and checks across sections."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, PrivateAttr, model_validator

from restorekit.config.ablations import Ablations
from restorekit.config.data import AnyDataset, FrameConfig, MaskData, PhotosConfig, SynthesizeConfig
from restorekit.config.detector import DetectorConfig
from restorekit.config.real import RealConfig, RealSet, RealTraining, RealValidation
from restorekit.config.run import Run, TrainConfig, train_layered
from restorekit.config.runs import RUNS, AnyRun, EvaluateConfig, ModelSettings, PromoteConfig
from restorekit.config.strict import Name, Strict
from restorekit.errors import RestorekitError, unknown_name
from restorekit.tasks import labels_of_task

SHARED = ("options", "objective", "train")  # sections of a run that `models` can share among all runs of a model


class Params(Strict):
    """The parameters of params.yaml, with the data sets, runs and ablations of a second file layered over it."""

    seed: Annotated[int, Field(ge=0)]
    photos: PhotosConfig
    synthesize: SynthesizeConfig
    datasets: dict[Name, Annotated[AnyDataset | MaskData, Field(discriminator="task")]]
    real: RealConfig = RealConfig()
    train: dict[str, Any]
    models: dict[str, ModelSettings] = Field(default_factory=dict)
    runs: dict[Name, AnyRun]
    ablations: dict[str, Ablations] = Field(default_factory=dict)  # by model
    evaluate: EvaluateConfig
    promote: PromoteConfig
    detector: DetectorConfig = DetectorConfig()

    _areas: dict[str, str] = PrivateAttr(default_factory=dict)  # folders of the second file's runs
    _pipeline: str = PrivateAttr(default="")  # the folder of the second file
    _left_out: dict[str, str] = PrivateAttr(default_factory=dict)  # missing data set of the second file's runs

    @model_validator(mode="before")
    @classmethod
    def _give_what_models_share(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not isinstance(values.get("runs"), dict):
            return values
        models = values.get("models")
        return {**values, "runs": {name: _with_shared(run, models) for name, run in values["runs"].items()}}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name, settings in self.models.items():
            settings.check_names(name)
        for key, dataset in self.datasets.items():
            if key.split("-")[0] != dataset.task:
                raise ValueError(f"datasets.{key}: a data set's name starts with its task, '{dataset.task}'")
            for one in dataset.pairs if isinstance(dataset, FrameConfig) else ():
                self.real.check_apart(f"datasets.{key}.pairs", one.layout, one.root)
        for key, real in self.real.train.items():
            if key.split("-")[0] != real.task or key in self.datasets:
                raise ValueError(f"real.train.{key}: name it '{real.task}-' and something that no other set is called")
        for name, run in self.runs.items():
            self._check_run(name, run)
        for model in self.ablations:
            if model not in RUNS:
                raise ValueError(f"ablations.{model}: {unknown_name('model', model, RUNS)}")
        twice = sorted(set(self.ablation_runs) & set(self.runs))
        if twice:
            raise ValueError(f"{', '.join(twice)}: the name of an ablation is also that of a run")
        return self

    def _check_run(self, name: str, run: Run) -> None:
        sets: dict[str, AnyDataset | MaskData | RealTraining] = {**self.datasets, **self.real.train}
        for dataset in run.shares:
            if dataset not in sets:
                raise ValueError(f"runs.{name}: {unknown_name('data set', dataset, sets)}")
            if isinstance(sets[dataset], MaskData):
                raise ValueError(f"runs.{name}: '{dataset}' holds masks and no photographs to learn from")
        first = run.first_set
        if name.partition("--")[0] != f"{run.model}-{first}":
            raise ValueError(f"runs.{name}: a run is named <model>-<data set>, here '{run.model}-{first}'")
        is_real = all(dataset in self.real.train for dataset in run.shares)
        if is_real and not any(one.paired for one in self.real_tests(run).values()):
            tasks = " or ".join(self.tasks_of(run))
            raise ValueError(f"runs.{name}: no pairs to judge it by: add some for {tasks} to real.evaluate")

    def dataset(self, name: str) -> AnyDataset | MaskData:
        """The synthesized data set `name`."""
        if name not in self.datasets:
            raise unknown_name("data set", name, self.datasets)
        return self.datasets[name]

    def trained_on(self, name: str) -> AnyDataset | RealTraining:
        """The data set `name` of a run, synthesized or real."""
        degraded = {name: one for name, one in self.datasets.items() if not isinstance(one, MaskData)}
        sets: dict[str, AnyDataset | RealTraining] = {**degraded, **self.real.train}
        if name not in sets:
            raise unknown_name("data set", name, sets)
        return sets[name]

    def detector_sets(self) -> dict[str, float]:
        """The data sets that the detector learns from, each with its share; a RestorekitError where one is no use."""
        if not self.detector.datasets:
            raise RestorekitError("there is no detector to train: name data sets in `detector.datasets`")
        for name in self.detector.datasets:
            dataset = self.dataset(name)
            if isinstance(dataset, MaskData) or not labels_of_task(dataset.task):
                raise RestorekitError(f"detector.datasets: '{name}' shows nothing that a photo is searched for")
            if dataset.train.tile < self.detector.crop:
                raise RestorekitError(
                    f"detector.crop {self.detector.crop} is larger than the tiles of '{name}' ({dataset.train.tile})"
                )
        return dict(self.detector.datasets)

    def task_of(self, run: Run) -> str:
        """The task of a run: that of its first data set."""
        return self.tasks_of(run)[0]

    def tasks_of(self, run: Run) -> list[str]:
        """The tasks of all data sets of a run, the first set's first."""
        return list(dict.fromkeys(self.trained_on(name).task for name in run.shares))

    def real_tests(self, run: Run) -> dict[str, RealSet]:
        """The sets of `real.evaluate` for the tasks of a run."""
        return {name: one for task in self.tasks_of(run) for name, one in self.real.to_evaluate(task).items()}

    def real_choosing(self, run: Run) -> dict[str, RealValidation]:
        """The sets of `real.validate` for the tasks of a run."""
        return {name: one for task in self.tasks_of(run) for name, one in self.real.to_validate(task).items()}

    @property
    def ablation_runs(self) -> dict[str, Run]:
        """The runs of all ablations by name."""
        made = [ablations.runs(model, self.runs) for model, ablations in self.ablations.items()]
        return {name: run for runs in made for name, run in runs.items()}

    def all_runs(self) -> list[tuple[str, Run]]:
        """(name, run) of every run, ablations included."""
        return [*self.runs.items(), *self.ablation_runs.items()]

    def ablations_of(self, run: str) -> list[str]:
        """The names of a run's ablations, possibly none."""
        self.run(run)
        return [name for name in self.ablation_runs if name.partition("--")[0] == run]

    def run(self, name: str) -> Run:
        """The run `name`; raises RestorekitError if the run does not exist or its data set has been deleted."""
        runs = dict(self.all_runs())
        if name in self._left_out:
            sets = {**self.datasets, **self.real.train}
            raise RestorekitError(f"run '{name}' is left out: {unknown_name('data set', self._left_out[name], sets)}")
        if name not in runs:
            raise unknown_name("run", name, runs)
        return runs[name]

    def training(self, run: str) -> TrainConfig:
        """The training settings of a run: the shared `train` section with the run's overrides."""
        return TrainConfig.model_validate(train_layered(self.train, self.run(run).train))

    @property
    def pipeline(self) -> str:
        """The folder below data/ of the stages that see all runs of a second file; "" for params.yaml's own."""
        return self._pipeline

    @property
    def left_out(self) -> dict[str, str]:
        """The runs of a second file whose data set is in no file, each with the data set's name."""
        return dict(self._left_out)

    @property
    def areas(self) -> dict[str, str]:
        """The folder below data/ of each run that is not in params.yaml."""
        ablated = {name: f"{run.model}/{name.partition('--')[0]}" for name, run in self.ablation_runs.items()}
        return {**self._areas, **{name: f"ablations/{place}" for name, place in ablated.items()}}

    def registered_name(self, run: str) -> str:
        """`<model>-<data set>`, or the run's full name if the run is for comparison only and restores no photos.

        Runs for comparison are ablations, and runs of a second file with a suffix other than `--long`.
        """
        name, _, suffix = run.partition("--")
        compared = run in self.ablation_runs or (run in self._areas and suffix not in ("", "long"))
        return run if compared else name

    def layered(self, pipeline: str, areas: Mapping[str, str], left_out: Mapping[str, str]) -> Self:
        """A copy that records the second file's folder, the folders of its runs, and its runs without a data set."""
        layered = self.model_copy()
        layered._pipeline, layered._areas, layered._left_out = pipeline, dict(areas), dict(left_out)
        return layered


def _with_shared(run: Any, models: Any) -> Any:
    """A run's settings, over the shared settings of the run's model; values that are not mappings stay unchanged."""
    if not isinstance(run, dict) or not isinstance(run.get("model"), str) or not isinstance(models, dict):
        return run
    shared = models.get(run.get("model"))
    if isinstance(shared, ModelSettings):
        shared = shared.model_dump()
    if run.get("model") not in RUNS or not isinstance(shared, dict):
        return run
    merged = dict(run)
    for section in SHARED:
        given, own = shared.get(section, {}), run.get(section, {})
        if given and isinstance(given, dict) and isinstance(own, dict):
            merged[section] = train_layered(given, own) if section == "train" else {**given, **own}
    return merged
