"""Studies beyond the scores: each sees every restored pair once and adds its findings to an evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from restorekit.evaluation.localisation import localiser_of, mask_figures, score_mask
from restorekit.evaluation.mask_features import feature_pictures
from restorekit.evaluation.opponents import OPPONENTS, by_opponent, opponent_scores, opponents_rows
from restorekit.evaluation.patches import FrameScore, path_means, score_frame
from restorekit.evaluation.pictures import overlays
from restorekit.evaluation.results import ALL, ImageScore, MaskScore, paired_gains
from restorekit.evaluation.scoring import Precision, Restored, restoring
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

    def take(self, dataset: str, restored: Restored, shown: int | None) -> None:
        """Adds a pair to the study; `shown` numbers the set's pairs with a picture from 0 on, None for the others."""
        ...

    def findings(self, rows: list[ImageScore], seed: int, resamples: int) -> Findings:
        """The study's findings, after all pairs were taken; `rows` are their scores."""
        ...


def studies_of(model: nn.Module, precision: Precision, samples: Path, views: Sequence[View] = AS_IT_IS) -> list[Study]:
    """All studies; those that do not apply to the network or its task have empty findings.

    Pictures go into the folder `samples`. With several `views`, their mean is scored, too.
    """
    ensemble: list[Study] = [EnsembleStudy(model, precision, views)] if len(views) > 1 else []
    return [HoleStudy(model, samples), MaskStudy(model, precision, samples), PathStudy(model, precision), *ensemble]


class HoleStudy:
    """Holes: scores of opponents without learning on the same images, and MADF's inner maps of the first pair shown."""

    def __init__(self, model: nn.Module, samples: Path) -> None:
        self._model, self._samples = model, samples
        self._opponents: list[dict[str, ImageScore]] = []
        self._features: list[dict[str, str]] = []

    def take(self, dataset: str, restored: Restored, shown: int | None) -> None:
        pair = restored.pair
        if pair.facts.hole_share is None:
            return
        self._opponents.append(opponents_rows(pair, restored.score))
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


class MaskStudy:
    """Predicted masks: their scores against the true masks, and the network's maps over the photograph."""

    def __init__(self, model: nn.Module, precision: Precision, samples: Path) -> None:
        self._localiser, self._samples = localiser_of(model, precision), samples
        self._rows: list[MaskScore] = []
        self._maps: list[dict[str, Any]] = []

    def take(self, dataset: str, restored: Restored, shown: int | None) -> None:
        if self._localiser is None:
            return
        pair, located = restored.pair, self._localiser.locate(restored.pair.degraded)
        self._rows.append(score_mask(dataset, pair, restored.image, located, self._localiser))
        if shown is None or shown >= MAPS:
            return
        drawn = overlays(pair.degraded, changed(pair.degraded, pair.clean, self._localiser.tau), located)
        file = f"maps-{dataset}-{shown + 1:02d}.png"
        (self._samples / file).write_bytes(encode_rgb(drawn.image, "png"))
        about = {"key": pair.facts.key, "photograph": pair.facts.photograph, "panels": list(drawn.names)}
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


class PathStudy:
    """GLSGN's parts: the image of every path at its own scale, and the seams of the patches."""

    def __init__(self, model: nn.Module, precision: Precision) -> None:
        self._model, self._precision = model, precision
        self._frames: dict[str, list[FrameScore]] = {}

    def take(self, dataset: str, restored: Restored, shown: int | None) -> None:
        if not isinstance(self._model, GLSGN):
            return
        # A smaller frame is padded for restoration, and no path's image has that padding.
        if min(restored.pair.clean.shape[:2]) >= self._model.descriptor.min_size:
            frame = score_frame(self._model, restored.pair, self._precision)
            self._frames.setdefault(dataset, []).append(frame)

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


class EnsembleStudy:
    """Scores of the mean of several views, compared with one pass."""

    def __init__(self, model: nn.Module, precision: Precision, views: Sequence[View]) -> None:
        self._restore, self._count = restoring(model, precision, views), len(views)
        self._rows: list[ImageScore] = []

    def take(self, dataset: str, restored: Restored, shown: int | None) -> None:
        row, pair = restored.score, restored.pair
        values = score(to_uint8(self._restore(pair)), pair.clean, ENSEMBLE_PROTOCOLS)
        before = {protocol: row.degraded[protocol] for protocol in ENSEMBLE_PROTOCOLS}
        self._rows.append(ImageScore(row.dataset, row.facts, row.width, row.height, before, values))

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
                f"{one.dataset}, mean of {self._count} views: {one.protocol} {one.restored:.4g}, gain {one.gain:+.4g} "
                f"(95% {one.ci95[0]:+.4g} to {one.ci95[1]:+.4g}); over one pass {over['mean']:+.3g} ({low:+.3g} to "
                f"{high:+.3g})"
            )
        found = {"views": self._count, "scores": [one.to_json() for one in scores]}
        return Findings({"self_ensemble": found}, metrics, tuple(lines))
