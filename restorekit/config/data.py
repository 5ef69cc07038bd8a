"""Sections of params.yaml on data: photographs, the writing of shards, and data sets."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, Union

from pydantic import Field, create_model, model_validator

from restorekit.config.real import PhotoFolder
from restorekit.config.strict import Count, Share, Strict
from restorekit.errors import unknown_name
from restorekit.layouts import LAYOUTS
from restorekit.tasks import FILES, MIXED, TASKS, Task


class Split(Strict):
    """The shares of the splits; a digest assigns the user's photographs, a fixed list the embedded photographs."""

    train: Share = 0.8
    val: Share = 0.1
    test: Share = 0.1

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if abs(self.train + self.val + self.test - 1.0) > 1e-6:
            raise ValueError(
                f"train + val + test is {self.train + self.val + self.test:g}; the shares must add up to 1"
            )
        return self


class PhotosConfig(Strict):
    """The sources of clean photographs."""

    packages: bool = True  # the seven natural scenes inside scikit-image and scikit-learn
    folders: tuple[PhotoFolder, ...] = ()  # the user's own and public sets, searched recursively
    license: str = "the user's own"  # recorded for every photograph found in `folders`
    min_side: Count = 256  # photographs with a shorter side, in pixels, are left out
    split: Split = Split()


class SynthesizeConfig(Strict):
    """The encoding of images in shards, and the number of processes."""

    encoding: Literal["png", "webp", "bmp", "jpeg"] = "png"  # only jpeg is lossy
    quality: Annotated[int, Field(ge=1, le=100)] | None = None  # of jpeg; None: 95
    num_workers: Count = 2

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.quality is not None and self.encoding != "jpeg":
            raise ValueError(f"quality is for encoding: jpeg; {self.encoding} loses nothing")
        return self


class TrainShards(Strict):
    """Training tiles: every photograph is degraded `variants` times, and `tiles` squares are cut from each result."""

    variants: Count
    tiles: Count
    tile: Annotated[int, Field(ge=32)]  # pixels
    shards: Count
    out_of_focus: Share = 0.0  # share of variants with parts of the photograph first blurred, as by a wide aperture
    clean: Share = 0.0  # share of variants left undegraded, so that a network learns to leave clean photographs alone
    # Parts of a photograph: up to so many times closer than the whole, never enlarged. 1: the whole photograph.
    zoom: Annotated[float, Field(ge=1.0)] = 1.0
    camera: Share = 0.0  # share of variants that a camera takes: noise, tone curve, sharpening, JPEG; see camera.py


class WholeShards(Strict):
    """Whole images for validation and test: every photograph is degraded `variants` times."""

    variants: Count
    shards: Count = 1


class DatasetConfig(Strict):
    """The settings that data sets of every task have."""

    task: str
    kind: str
    short_side: Annotated[int, Field(ge=64)]  # pixels of the degraded frame; photographs are resized to this size
    severity: tuple[Share, Share]  # drawn uniformly between these limits
    train: TrainShards
    val: WholeShards
    test: WholeShards

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.severity[0] > self.severity[1]:
            raise ValueError(f"severity {list(self.severity)} must be [low, high]")
        if self.train.tile > self.short_side:
            raise ValueError(f"train.tile {self.train.tile} does not fit into short_side {self.short_side}")
        return self


class FramePairs(Strict):
    """Real pairs in a data set of synthesized frames; a digest assigns the pairs' scenes to the splits."""

    root: str  # relative to params.yaml, or absolute
    layout: str = "plain"  # see restorekit/layouts.py
    pairs: Count | None = None  # the expected number; None: the published one


class FrameConfig(DatasetConfig):
    """A data set that can consist of frames of one size, such as 3840 x 2160, with real pairs among them."""

    # Frames of long_side x short_side, upright for upright photographs, are cut at a random place and scale.
    # Photographs are never enlarged; smaller photographs are left out. None: the whole photograph, resized.
    long_side: Annotated[int, Field(ge=64)] | None = None
    pairs: tuple[FramePairs, ...] = ()

    @model_validator(mode="after")
    def _framed(self) -> Self:
        if self.long_side is not None and self.long_side < self.short_side:
            raise ValueError(f"long_side {self.long_side} is shorter than short_side {self.short_side}")
        if self.long_side is not None and self.train.zoom > 1.0:
            raise ValueError("frames with a long_side are drawn at their own scales: leave out train.zoom")
        for one in self.pairs:
            if one.layout not in LAYOUTS:
                raise ValueError(str(unknown_name("layout", one.layout, LAYOUTS)))
            if LAYOUTS[one.layout].task not in (None, self.task) or not LAYOUTS[one.layout].paired:
                raise ValueError(f"layout '{one.layout}' has no pairs for the task {self.task}")
        return self


class HoleConfig(DatasetConfig):
    """A data set with masks, which can come from the user's files."""

    masks: str | None = None  # for kind: files, a folder of pictures, white = hole; relative to params.yaml or absolute

    @model_validator(mode="after")
    def _has_masks(self) -> Self:
        if (self.kind == FILES) != (self.masks is not None):
            raise ValueError("masks, a folder, is given with kind: files, and only with it")
        if self.train.clean or self.train.camera:
            raise ValueError("train.clean and train.camera are not for holes, outside of which nothing changes")
        return self


def _dataset_class(name: str, task: Task) -> type[DatasetConfig]:
    """The type of one task's data sets, with the task's settings, name and kinds."""
    base = FrameConfig if task.frames else HoleConfig if task.takes_mask else DatasetConfig
    fields: Any = {"task": (Literal[name], ...), "kind": (Literal[task.choices], task.default)}
    return create_model(f"{name.title().replace('_', '')}Data", __base__=base, **fields)


DATASETS: dict[str, type[DatasetConfig]] = {name: _dataset_class(name, task) for name, task in TASKS.items()}
globals().update({one.__name__: one for one in DATASETS.values()})  # where pickle looks for them
if TYPE_CHECKING:
    AnyDataset = DatasetConfig
else:
    AnyDataset = Union[tuple(DATASETS.values())]  # noqa: UP007


class MaskShards(Strict):
    """The masks of one split."""

    masks: Count
    shards: Count = 1

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.masks < self.shards:
            raise ValueError(f"{self.masks} masks for {self.shards} shards: lower shards")
        return self


class MaskData(Strict):
    """A data set of masks alone, in shards without photographs: see shards/mask_shards.py."""

    task: Literal["masks"]
    kind: Literal[*TASKS["inpainting"].kinds, MIXED] = MIXED  # type: ignore[valid-type]
    side: Annotated[int, Field(ge=32)]  # pixels
    severity: tuple[Share, Share] = (0.0, 1.0)
    train: MaskShards
    val: MaskShards
    test: MaskShards

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.severity[0] > self.severity[1]:
            raise ValueError(f"severity {list(self.severity)} must be [low, high]")
        return self


SECTIONS: dict[str, type[Strict]] = {**DATASETS, "masks": MaskData}  # types of the sections in `datasets`, by task
