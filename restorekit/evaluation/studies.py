"""Studies beyond the scores: each looks at every restored pair once and adds its findings to an evaluation.

The look takes the time: further passes of the network, opponents, figures. It happens where the pair was restored,
perhaps on another node. The study gathers the results in the order of the pairs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from restorekit.evaluation.localisation import localiser_of, mask_figures, score_mask
from restorekit.evaluation.mask_features import feature_pictures
from restorekit.evaluation.opponents import OPPONENTS, by_opponent, opponent_scores, opponents_rows
from restorekit.evaluation.patches import FrameScore, path_means, score_frame
from restorekit.evaluation.pictures import Overlays, overlays
from restorekit.evaluation.results import ALL, ImageScore, MaskScore, paired_gains
from restorekit.evaluation.scoring import Look, LookWith, Precision, Restored, restoring
from restorekit.evaluation.slices import gain_interval, slice_scores
from restorekit.image import encode_rgb, to_uint8
from restorekit.inference.self_ensemble import AS_IT_IS, View
from restorekit.metrics.mask_metrics import changed
from restorekit.metrics.protocols import score
from restorekit.models.glsgn import GLSGN

MAPS = 3  # images of a set whose masks and other maps are drawn
ENSEMBLE_PROTOCOLS = ("psnr_rgb", "ssim_rgb")


@dataclass(frozen=True)
class Findings:
    """A study's part of an evaluation, as JSON values."""

    evaluation: dict[str, Any]  # keys of evaluation.json
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)  # keys of metrics.json, by the test set's name
    lines: tuple[str, ...] = ()  # to be printed
    masks: tuple[MaskScore, ...] = ()  # for the table of images


class Study(Protocol):
    """A study of one network; studies that draw pictures get the folder `samples`."""

    def look(self, shown: Mapping[str, int]) -> LookWith:
        """The work on each pair of a set; `shown` numbers the pairs with a picture by their keys, from 0 on."""
        ...

    def take(self, dataset: str, restored: Restored, seen: Any, shown: int | None) -> None:
        """Adds a pair and the result of its look; `shown` is the number of its picture, if there is one."""
        ...

    def findings(self, rows: list[ImageScore], seed: int, resamples: int) -> Findings:
        """The study's findings, after all pairs were taken; `rows` are their scores."""
        ...


def studies_of(model: nn.Module, precision: Precision, samples: Path, views: Sequence[View] = AS_IT_IS) -> list[Study]:
    """All studies; those that do not apply to the network or its task have empty findings.

    Pictures go into the folder `samples`. With several `views`, their mean is scored, too.
    """
    ensemble: list[Study] = [EnsembleStudy(precision, views)] if len(views) > 1 else []
    return [HoleStudy(model, samples), MaskStudy(precision, samples), PathStudy(precision), *ensemble]


class HoleStudy:
    """Holes: scores of opponents without learning on the same images, and MADF's inner maps of the first pair shown."""

    def __init__(self, model: nn.Module, samples: Path) -> None:
        self._model, self._samples = model, samples
        self._opponents: list[dict[str, ImageScore]] = []
        self._features: list[dict[str, str]] = []

    def look(self, shown: Mapping[str, int]) -> LookWith:
        return _opponents_look

    def take(self, dataset: str, restored: Restored, seen: dict[str, ImageScore] | None, shown: int | None) -> None:
        if seen is None:
            return
        pair = restored.pair
        self._opponents.append(seen)
        if shown is None or self._features:
            return
        for picture in feature_pictures(self._model, pair):
            file = f"{picture.name}.png"
            (self._samples / file).write_bytes(encode_rgb(picture.image, "png"))
            about = {"caption": picture.caption, "photograph": pair.facts.photograph}
            self._features.append({"file": f"samples/{file}", **about})

    def findings(self, rows: list[ImageScore], seed: int, resamples: int) -> Findings:
        scores = opponent_scores(rows, by_opponent(self._opponents), seed, resamples)
        says = {name: OPPONENTS[name].says for name in dict.fromkeys(one.opponent for one in scores)}
        opponents = {"says": says, "scores": [one.to_json() for one in scores]}
        return Findings({"opponents": opponents, "mask_features": self._features})


def _opponents_look(model: nn.Module) -> Look:
    def look(restored: Restored) -> dict[str, ImageScore] | None:
        has_holes = restored.pair.facts.hole_share is not None
        return opponents_rows(restored.pair, restored.score) if has_holes else None

    return look


class MaskStudy:
    """Predicted masks: their scores against the true masks, and the network's maps over the photograph."""

    def __init__(self, precision: Precision, samples: Path) -> None:
        self._precision, self._samples = precision, samples
        self._rows: list[MaskScore] = []
        self._maps: list[dict[str, Any]] = []

    def look(self, shown: Mapping[str, int]) -> LookWith:
        return partial(_mask_look, self._precision, frozenset(key for key, number in shown.items() if number < MAPS))

    def take(
        self, dataset: str, restored: Restored, seen: tuple[MaskScore, Overlays | None] | None, shown: int | None
    ) -> None:
        if seen is None:
            return
        row, drawn = seen
        self._rows.append(row)
        if drawn is None or shown is None:
            return
        file = f"maps-{dataset}-{shown + 1:02d}.png"
        (self._samples / file).write_bytes(encode_rgb(drawn.image, "png"))
        facts = restored.pair.facts
        about = {"key": facts.key, "photograph": facts.photograph, "panels": list(drawn.names)}
        self._maps.append({"file": f"samples/{file}", "dataset": dataset, **about})

    def findings(self, rows: list[ImageScore], seed: int, resamples: int) -> Findings:
        figures = mask_figures(self._rows, seed, resamples)
        metrics: dict[str, dict[str, Any]] = {}
        for figure in figures:
            low, high = figure.ci95
            of_mask = metrics.setdefault(figure.dataset, {}).setdefault("mask", {})
            of_mask[figure.name] = {"mean": figure.mean, "ci95_low": low, "ci95_high": high}
        maps = sorted(self._maps, key=lambda one: str(one["file"]))
        evaluation = {"masks": [figure.to_json() for figure in figures], "maps": maps}
        return Findings(evaluation, metrics, masks=tuple(self._rows))


def _mask_look(precision: Precision, drawn: frozenset[str], model: nn.Module) -> Look:
    """Scores the mask of every pair and draws the maps of the pairs `drawn`."""
    localiser = localiser_of(model, precision)

    def look(restored: Restored) -> tuple[MaskScore, Overlays | None] | None:
        if localiser is None:
            return None
        pair, located = restored.pair, localiser.locate(restored.pair.degraded)
        row = score_mask(restored.score.dataset, pair, restored.image, located, localiser)
        if pair.facts.key not in drawn:
            return row, None
        return row, overlays(pair.degraded, changed(pair.degraded, pair.clean, localiser.tau), located)

    return look


class PathStudy:
    """GLSGN's parts: the image of every path at its own scale, and the seams of the patches."""

    def __init__(self, precision: Precision) -> None:
        self._precision = precision
        self._frames: dict[str, list[FrameScore]] = {}

    def look(self, shown: Mapping[str, int]) -> LookWith:
        return partial(_path_look, self._precision)

    def take(self, dataset: str, restored: Restored, seen: FrameScore | None, shown: int | None) -> None:
        if seen is not None:
            self._frames.setdefault(dataset, []).append(seen)

    def findings(self, rows: list[ImageScore], seed: int, resamples: int) -> Findings:
        metrics = {dataset: {"patches": path_means(frames)} for dataset, frames in self._frames.items()}
        lines = []
        for dataset, found in metrics.items():
            means = found["patches"]
            each = ", ".join(
                f"{name} {one['degraded']:.4g} -> {one['restored']:.4g}" for name, one in means["paths"].items()
            )
            seams = means["seams"]
            apart = f"; seams {seams['apart']:.2g} dB, the input {seams['apart_degraded']:.2g}" if seams else ""
            cost = f"; borders cost {seams['border_cost']:.2g} dB" if "border_cost" in seams else ""
            lines.append(f"{dataset}, PSNR of each path at its scale: {each}{apart}{cost}")
        patches = [{"dataset": dataset, **found["patches"]} for dataset, found in metrics.items()]
        return Findings({"patches": patches}, metrics, tuple(lines))


def _path_look(precision: Precision, model: nn.Module) -> Look:
    def look(restored: Restored) -> FrameScore | None:
        # A smaller frame is padded for restoration, and no path's image has that padding.
        if not isinstance(model, GLSGN) or min(restored.pair.clean.shape[:2]) < model.descriptor.min_size:
            return None
        return score_frame(model, restored.pair, precision)

    return look


class EnsembleStudy:
    """Scores of the mean of several views, compared with one pass."""

    def __init__(self, precision: Precision, views: Sequence[View]) -> None:
        self._precision, self._views = precision, tuple(views)
        self._rows: list[ImageScore] = []

    def look(self, shown: Mapping[str, int]) -> LookWith:
        return partial(_ensemble_look, self._precision, self._views)

    def take(self, dataset: str, restored: Restored, seen: dict[str, float], shown: int | None) -> None:
        row = restored.score
        before = {protocol: row.degraded[protocol] for protocol in ENSEMBLE_PROTOCOLS}
        self._rows.append(ImageScore(row.dataset, row.facts, row.width, row.height, before, seen))

    def findings(self, rows: list[ImageScore], seed: int, resamples: int) -> Findings:
        scores = [one for one in slice_scores(self._rows, seed, resamples) if one.slice == ALL]
        metrics: dict[str, dict[str, Any]] = {}
        lines = []
        for one in scores:
            views, once = ([row for row in found if row.dataset == one.dataset] for found in (self._rows, rows))
            leads = paired_gains(views, one.protocol, once)
            low, high = gain_interval(leads, views, seed, resamples)
            over = {"mean": float(leads.mean()), "ci95_low": low, "ci95_high": high}
            of_set = metrics.setdefault(one.dataset, {}).setdefault("self_ensemble", {})
            of_set[one.protocol] = {
                "restored": one.restored, "gain": one.gain, "ci95_low": one.ci95[0], "ci95_high": one.ci95[1],
                "over_one_pass": over,
            }  # fmt: skip
            lines.append(
                f"{one.dataset}, mean of {len(self._views)} views: {one.protocol} {one.restored:.4g}, gain "
                f"{one.gain:+.4g} (95% {one.ci95[0]:+.4g} to {one.ci95[1]:+.4g}); over one pass {over['mean']:+.3g} "
                f"({low:+.3g} to {high:+.3g})"
            )
        found = {"views": len(self._views), "scores": [one.to_json() for one in scores]}
        return Findings({"self_ensemble": found}, metrics, tuple(lines))


def _ensemble_look(precision: Precision, views: Sequence[View], model: nn.Module) -> Look:
    restore = restoring(model, precision, views)
    return lambda restored: score(to_uint8(restore(restored.pair)), restored.pair.clean, ENSEMBLE_PROTOCOLS)
