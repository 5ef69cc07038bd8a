"""Do no harm: each photograph once, whole, and each figure tells the harm that it is for."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage.data import astronaut, chelsea
from torch import Tensor, nn
from torch.nn import functional

from restorekit.evaluation.clean import CleanStudy, chosen_keys, clean_figures, clean_findings, clean_look
from restorekit.evaluation.results import CleanFigure, CleanScore, Facts, ImageScore
from restorekit.evaluation.scoring import Restored
from restorekit.evaluation.table import read_clean_table, read_table, write_table
from restorekit.evaluation.test_sets import Pair
from restorekit.metrics.clean_metrics import CLEAN_CAP_DB, CLEAN_METRICS
from restorekit.models import create_model
from restorekit.models.descriptor import Descriptor


class Network(nn.Module):
    """A network that does `change` to any image."""

    def __init__(self, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.descriptor = Descriptor("made", ("rain",), False, 1, 1, "approximate", 8, 100)
        self.change, self.seen = change, []  # type: ignore[var-annotated]

    def restore(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        self.seen.append(tuple(image.shape))
        return self.change(image).clamp(0, 1)


def pairs() -> list[Pair]:
    """Two pairs of different sizes, whose degraded images are black."""
    crops = {"astronaut": astronaut()[40:77, 200:245], "chelsea": chelsea()[80:125, 140:190]}
    cleans = {name: np.clip(crop, 40, 215).astype(np.uint8) for name, crop in crops.items()}
    return [Pair(Facts(f"{name}-0", name), np.zeros_like(clean), clean) for name, clean in cleans.items()]


def looking(network: nn.Module) -> Callable[[Pair], Any]:
    """A look at the clean images of `pairs`."""
    look = clean_look("fp32", frozenset(pair.facts.key for pair in pairs()), network)
    return lambda pair: look(Restored(pair, pair.degraded, None))  # type: ignore[arg-type]


def studied(change: Callable[[Tensor], Tensor]) -> tuple[CleanStudy, dict[str, CleanFigure]]:
    study, look = CleanStudy(), looking(Network(change))
    for pair in pairs():
        study.take("made", look(pair))
    return study, {one.name: one for one in clean_figures(study.rows, seed=1, resamples=200)}


def test_the_identity_does_no_harm() -> None:
    _, figures = studied(lambda image: image)
    assert {name: (one.mean, one.ci95, one.worst) for name, one in figures.items()} == {
        name: (metric.untouched, (metric.untouched, metric.untouched), metric.untouched)
        for name, metric in CLEAN_METRICS.items()
    }
    assert figures["clean_psnr"].mean == CLEAN_CAP_DB


def test_a_network_that_darkens_is_told_by_the_shift() -> None:
    _, figures = studied(lambda image: image - 12 / 255)
    assert figures["clean_shift"].mean == pytest.approx(-12.0, abs=0.01)
    assert figures["clean_detail"].mean == pytest.approx(1.0, abs=0.01)
    assert figures["clean_psnr"].mean == pytest.approx(26.55, abs=0.05)


def test_a_network_that_blurs_is_told_by_the_detail() -> None:
    _, figures = studied(lambda image: functional.avg_pool2d(image, 3, 1, 1, count_include_pad=False))
    assert figures["clean_detail"].mean < 0.3
    assert abs(figures["clean_shift"].mean) < 0.5
    assert figures["clean_psnr"].mean < 40


def test_the_worst_is_the_photograph_that_is_harmed_most() -> None:
    study, figures = studied(lambda image: image + 8 / 255 * (image.shape[-1] == 50))  # chelsea, 50 pixels wide
    assert (figures["clean_psnr"].worst_of, figures["clean_shift"].worst_of) == ("chelsea", "chelsea")
    assert figures["clean_shift"].worst == pytest.approx(8.0, abs=0.01)
    assert figures["clean_shift"].mean == pytest.approx(4.0, abs=0.01)
    assert figures["clean_shift"].ci95[0] < 4.0 < figures["clean_shift"].ci95[1]
    worst = study.worst()["made"]
    assert worst.facts.photograph == "chelsea"
    np.testing.assert_array_equal(worst.after, worst.before + np.uint8(8))


def test_clean_images_go_through_whole() -> None:
    network = Network(lambda image: image)
    look = looking(network)
    for pair in pairs():
        assert look(pair) is not None
    other = pairs()[0]
    assert look(replace(other, facts=Facts("another", "astronaut"))) is None
    assert network.seen == [(1, 3, *pair.clean.shape[:2]) for pair in pairs()]


def test_a_network_that_takes_a_mask_is_not_asked() -> None:
    torch.manual_seed(0)
    study = CleanStudy()
    study.take("made", looking(create_model("madf", width=4, init="he", start="smooth"))(pairs()[0]))
    assert study.rows == []
    assert clean_findings(clean_figures(study.rows, 1, 200)).evaluation == {"clean": []}


def test_every_photograph_is_taken_once_and_few_are_spread_over_the_set() -> None:
    facts = [Facts(f"{name}-{n}", name) for n in range(3) for name in ("b", "a", "c")]
    assert chosen_keys(facts) == {"a-0", "b-0", "c-0"}
    many = [Facts(f"{number:03d}-{n}", f"{number:03d}") for number in range(100) for n in range(2)]
    chosen = sorted(chosen_keys(many, most=4))
    assert chosen == ["012-0", "037-0", "062-0", "087-0"]


def test_figures_that_are_undefined_for_a_photograph_are_means_over_the_others() -> None:
    rows = [
        CleanScore("made", "a", "a", {"clean_psnr": 30.0, "clean_detail": None, "clean_shift": -2.0}),
        CleanScore("made", "b", "b", {"clean_psnr": 40.0, "clean_detail": 0.5, "clean_shift": 1.0}),
    ]
    figures = {one.name: one for one in clean_figures(rows, 1, 200)}
    assert (figures["clean_detail"].n, figures["clean_detail"].mean, figures["clean_psnr"].n) == (1, 0.5, 2)
    assert (figures["clean_psnr"].worst, figures["clean_shift"].worst) == (30.0, -2.0)
    assert clean_figures([rows[0]], 1, 200)[1].name == "clean_shift"


def test_figures_read_back_equal_from_json_and_from_the_table(tmp_path: Path) -> None:
    study, figures = studied(lambda image: 0.9 * image)
    entries = clean_findings(list(figures.values())).evaluation["clean"]
    assert [CleanFigure.from_json(one) for one in entries] == list(figures.values())
    images = [
        ImageScore("made", Facts(key, "astronaut"), 45, 37, {"psnr_rgb": 20.0}, {"psnr_rgb": 30.0})
        for key in ("astronaut-0", "astronaut-1")
    ]
    images.append(ImageScore("other", Facts("chelsea-0", "chelsea"), 50, 45, {"psnr_rgb": 1.0}, {"psnr_rgb": 2.0}))
    write_table(tmp_path / "table.csv", images, cleans=study.rows)
    assert read_table(tmp_path / "table.csv") == images
    assert read_clean_table(tmp_path / "table.csv") == study.rows[:1]  # the rows of the images in the table
    write_table(tmp_path / "table.csv", images)
    assert read_clean_table(tmp_path / "table.csv") == []
