"""Validation: the averaged weights restore whole images, synthetic ones and real pairs, which the ranks share.

A restored image is rounded to 8 bits before it is compared. Figures of the synthetic images are named `val/<figure>`,
those of a real set `val/<set>/<figure>`. Real pairs choose the best state if a run has any: a network can still learn
the degradations made here when its gain on real ones already falls.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from restorekit.errors import RestorekitError
from restorekit.image import to_uint8
from restorekit.metrics.psnr import psnr_rgb
from restorekit.models.descriptor import Descriptor, RestorationModel
from restorekit.models.memory import default_budget
from restorekit.models.precision import resolved
from restorekit.shards.reader import ShardReader, ShardSample
from restorekit.training.batches import images_of, to_tensor, to_unit
from restorekit.training.job import Job
from restorekit.training.learner import Learner
from restorekit.training.world import World

PSNR, GAIN = "psnr_rgb", "gain"  # a set's mean PSNR after restoration, and the paired gain in it, both in dB


@dataclass(frozen=True)
class Validation:
    """The figures of all ranks together; on the first rank a picture, uint8 H x W x 3: degraded | restored | clean."""

    metrics: dict[str, float]
    picture: np.ndarray | None = None


def quality(metrics: Mapping[str, float], real: Iterable[str]) -> float:
    """The figure that is highest at the best state: the mean gain over the `real` sets, or else the synthetic PSNR."""
    gains = [metrics[f"val/{name}/{GAIN}"] for name in real]
    return math.fsum(gains) / len(gains) if gains else metrics[f"val/{PSNR}"]


def validate(job: Job, world: World, learner: Learner) -> Validation:
    """Restores all images of the job and compares them. Every rank calls it."""
    learner.model.eval()
    is_mixed = resolved(job.config.precision, world.device) != "fp32"
    autocast = torch.autocast(world.device.type, dtype=torch.bfloat16, enabled=is_mixed)
    with learner.ema.swapped_in(learner.model), torch.inference_mode(), autocast:
        metrics, picture = _of_synthetic(job.shards / "val", world, learner)
        for name, shards in job.choosing.items():
            totals = torch.zeros(3, dtype=torch.float64)
            for sample in shared_samples(shards, world):
                totals += torch.tensor(_compared(sample, _restored(sample, world, learner)[0]), dtype=torch.float64)
            metrics |= _means(f"val/{name}", world.sum(totals))
    learner.model.train()
    return Validation(metrics, picture)


def check_memory(job: Job, world: World, learner: Learner) -> None:
    """Raises RestorekitError where a real pair is too large to be restored whole in the memory of its rank.

    Tiles would need no refusal, but their seams and the images' statistics differ from those of whole images, so that
    the memory of a machine would choose the state. Every rank calls it, for its own part, and learns of the others'.
    """
    if not job.choosing:
        return
    for problem in world.gather(_too_large(job, world, learner)):
        if problem is not None:
            raise RestorekitError(problem)


def _too_large(job: Job, world: World, learner: Learner) -> str | None:
    descriptor, budget = cast(Descriptor, learner.model.descriptor), default_budget(world.device)
    for name, shards in job.choosing.items():
        reader = ShardReader(shards)
        for place in reader.places(*world.place):
            key, members = reader.raw_sample(*place)
            _, _, height, width = json.loads(members["json"])["tile"]
            needed = height * width * descriptor.bytes_per_pixel
            if needed > budget:
                return (
                    f"real.validate.{name}: to restore '{key}' ({width} x {height}) whole takes {needed / 2**30:.1f} "
                    f"GiB, and {budget / 2**30:.1f} GiB are free for it: train where there is more memory, or take a "
                    f"set of smaller images"
                )
    return None


def _of_synthetic(shards: Path, world: World, learner: Learner) -> tuple[dict[str, float], np.ndarray | None]:
    """PSNR, gain and the objective's figures: only synthetic samples have all that these need."""
    names = learner.objective.figure_names
    totals = torch.zeros(3 + len(names), dtype=torch.float64)
    picture = None
    for sample in shared_samples(shards, world):
        restored, batch = _restored(sample, world, learner)
        figures = learner.objective.figures(learner.model, batch)
        values = [*_compared(sample, restored), *(figures[name] for name in names)]
        totals += torch.tensor(values, dtype=torch.float64)
        if world.is_first and picture is None:
            picture = np.concatenate([sample.degraded, restored, sample.clean], axis=1)
    totals = world.sum(totals)
    others = (totals[3:] / totals[0]).tolist()
    named = {f"val/{name}": value for name, value in zip(names, others, strict=True)}
    return _means("val", totals) | named, picture


def shared_samples(shards: Path, world: World) -> Iterator[ShardSample]:
    """This rank's part of all samples: every sample is one rank's, and a rank opens the shards of its part alone."""
    reader = ShardReader(shards)
    for place in reader.places(*world.place):
        yield reader.sample(*place)


def _restored(sample: ShardSample, world: World, learner: Learner) -> tuple[np.ndarray, dict[str, Tensor]]:
    """The restored image, uint8 H x W x 3, and the sample as a batch of one."""
    batch = {name: to_unit(to_tensor(image), world.device)[None] for name, image in images_of(sample).items()}
    output = cast(RestorationModel, learner.model).restore(batch["degraded"], batch.get("mask"))
    return to_uint8(output[0].float().cpu().numpy().transpose(1, 2, 0)), batch


def _compared(sample: ShardSample, restored: np.ndarray) -> list[float]:
    """One image, its PSNR before and after."""
    return [1.0, psnr_rgb(sample.degraded, sample.clean), psnr_rgb(restored, sample.clean)]


def _means(prefix: str, totals: Tensor) -> dict[str, float]:
    """The figures of a set from the sums of `_compared` over all of its images."""
    count, before, after = totals[:3].tolist()
    return {f"{prefix}/{PSNR}": after / count, f"{prefix}/{GAIN}": (after - before) / count}
