"""Sections of params.yaml that name public data sets: photographs, and pairs to train on, choose by and judge by."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from restorekit.config.strict import Count, Strict
from restorekit.errors import unknown_name
from restorekit.layouts import LAYOUTS, PHOTO_LAYOUTS
from restorekit.tasks import REAL_TASKS, TASKS


class PhotoFolder(Strict):
    """A folder of photographs; params.yaml can also give its name alone."""

    root: str
    layout: str | None = None  # of a public set (restorekit/layouts.py); None: every photograph in the folder
    photographs: Count | None = None  # the expected number; None: the published one

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return {"root": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.layout is None:
            if self.photographs is not None:
                raise ValueError("photographs is the expected number of a layout; name the layout")
        elif self.layout not in PHOTO_LAYOUTS:
            raise ValueError(str(unknown_name("layout of photographs", self.layout, PHOTO_LAYOUTS)))
        return self


class RealSet(Strict):
    """A set of photographed or published pairs, in the authors' layout."""

    task: Literal[REAL_TASKS]  # type: ignore[valid-type]
    layout: str  # see restorekit/layouts.py
    root: str  # relative to params.yaml, or absolute
    pairs: Count | None = None  # the expected number; None: the published one

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.layout not in LAYOUTS:
            raise ValueError(str(unknown_name("layout", self.layout, LAYOUTS)))
        task = LAYOUTS[self.layout].task
        if task not in (None, self.task):
            raise ValueError(f"layout '{self.layout}' is for the task {task}, not {self.task}")
        if TASKS[self.task].takes_mask and not LAYOUTS[self.layout].masked:
            raise ValueError(f"layout '{self.layout}' has no masks of what is missing; layout 'masked' has")
        return self

    @property
    def paired(self) -> bool:
        """Whether the set has clean images, for training or scoring."""
        return LAYOUTS[self.layout].paired

    def num_shards(self, split: str) -> int:
        """The shards of a split of the set's pairs."""
        return 1


class PairTiles(Strict):
    """Training tiles: `tiles` squares from every pair."""

    tiles: Count
    tile: Annotated[int, Field(ge=32)]  # pixels
    shards: Count


class PairVal(Strict):
    """Whole pairs for validation: a share of the scenes, chosen by the digest of the clean image."""

    share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    shards: Count = 1


class RealTraining(RealSet):
    """A set to train on; the set's name is the name of its shards."""

    train: PairTiles
    val: PairVal = PairVal()

    @model_validator(mode="after")
    def _with_clean_images(self) -> Self:
        if not self.paired:
            raise ValueError(f"layout '{self.layout}' has no clean images to train on")
        return self

    def num_shards(self, split: str) -> int:
        return self.train.shards if split == "train" else self.val.shards


class RealValidation(RealSet):
    """A set that chooses the best state of a training: see restorekit/sources/choosing.py."""

    first: Count | None = None  # the first pairs choose; None: the pairs of every second scene

    @model_validator(mode="after")
    def _with_clean_images(self) -> Self:
        if not self.paired:
            raise ValueError(f"layout '{self.layout}' has no clean images to choose by")
        return self


SetName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]


class RealConfig(Strict):
    """Real sets by name. The name of a set to train on starts with its task, like names in `datasets`."""

    model_config = ConfigDict(serialize_by_alias=True)

    train: dict[SetName, RealTraining] = Field(default_factory=dict)
    # Pydantic's own classes have a method `validate`, so the section has another name here.
    validation: dict[SetName, RealValidation] = Field(default_factory=dict, alias="validate")
    evaluate: dict[SetName, RealSet] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _apart(self) -> Self:
        trained = {(one.layout, one.root): name for name, one in self.train.items()}
        for name, one in self.evaluate.items():
            if (one.layout, one.root) in trained:
                raise ValueError(f"evaluate.{name} is what train.{trained[one.layout, one.root]} is trained on")
            if name.startswith("synthetic-test"):
                raise ValueError(f"evaluate.{name}: that is what the synthetic test images are called")
        return self

    def check_apart(self, where: str, layout: str, root: str) -> None:
        """Refuses a set of frames or pairs at `where` that `validate` names, too."""
        for name, one in self.validation.items():
            if (one.layout, _place(one.root)) == (layout, _place(root)):
                raise ValueError(f"{where}: real.validate.{name} chooses by these pairs, so no run may learn from them")

    def to_validate(self, task: str) -> dict[str, RealValidation]:
        """The sets that choose the best state of the trainings of one task, in the order of the file."""
        return {name: one for name, one in self.validation.items() if one.task == task}

    def to_evaluate(self, task: str) -> dict[str, RealSet]:
        """The sets of one task, in the order of the file."""
        return {name: one for name, one in self.evaluate.items() if one.task == task}


def _place(root: str) -> str:
    """A root as text, without the parts that make no difference."""
    return str(Path(root).expanduser())
