"""Writes data/report/degradations.html: every task and kind by severity, on test photographs and in figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from restorekit.degradations import DEGRADATIONS, Degradation, Degraded, Scene, get_degradation
from restorekit.image import encode_rgb, resize_short_side, to_float, to_uint8
from restorekit.report import environment
from restorekit.report.traits import Traits, reference_traits, traits_of
from restorekit.rng import rng_for
from restorekit.sources.photo_index import Photograph, PhotoIndex, load_photograph
from restorekit.tasks import get_task

SEVERITIES = (0.1, 0.3, 0.5, 0.7, 0.9)
SHORT_SIDE = 240  # pixels of a cell
GUTTER = 4
PHOTOGRAPHS = 12  # at most, for the figures
QUALITY = 88  # of the sheets' jpeg


@dataclass(frozen=True)
class Row:
    """One kind on one photograph: the clean photograph, then one cell for each of SEVERITIES."""

    kind: str
    photograph: str
    file: str  # relative to the page
    image: np.ndarray  # uint8 (h, w, 3), the cells side by side
    psnr: tuple[str, ...]  # of each degraded cell, dB


@dataclass(frozen=True)
class Sheet:
    """All kinds of one task."""

    task: str
    rows: tuple[Row, ...]
    traits: tuple[Traits, ...]  # of the synthetic pairs, by kind


def make_sheets(photos: PhotoIndex, seed: int) -> list[Sheet]:
    """A sheet for every task, from the first photographs of the test split; an empty list without photographs.

    Kinds take turns over the photographs, one photograph each. Figures cover all photographs at every severity.
    """
    chosen = photos.photographs("test", 0, min(PHOTOGRAPHS, photos.count("test")))
    scenes = {photograph: _scene(photos.folder, photograph) for photograph in chosen}
    return [_sheet(task, scenes, seed) for task in DEGRADATIONS] if scenes else []


def write_sheets(folder: Path, sheets: Sequence[Sheet], real: Sequence[Traits]) -> None:
    """Writes degradations.html and its pictures into `folder`; `real` are the traits of the user's real pairs.

    The page also shows the traits of public pairs, which ship with the code.
    """
    (folder / "degradations").mkdir()
    for sheet in sheets:
        for row in sheet.rows:
            (folder / row.file).write_bytes(encode_rgb(row.image, "jpeg", QUALITY))
    page = environment().get_template("degradations.html.j2")
    text = page.render(sheets=sheets, severities=SEVERITIES, real=real, public=reference_traits())
    (folder / "degradations.html").write_text(text, encoding="utf-8")


def _scene(folder: Path, photograph: Photograph) -> Scene:
    loaded = load_photograph(folder, photograph)
    return Scene(to_float(resize_short_side(loaded.pixels, SHORT_SIDE)))


def _sheet(task: str, scenes: dict[Photograph, Scene], seed: int) -> Sheet:
    degradation = get_degradation(task)
    rows, traits = [], []
    for number, kind in enumerate(get_task(task).kinds):
        made = {
            photograph.name: _made(degradation, kind, scene, _other(scenes, index), seed, photograph.name)
            for index, (photograph, scene) in enumerate(scenes.items())
        }
        name = list(made)[number % len(made)]
        rows.append(_row(task, number, kind, name, made[name]))
        pairs = [(one.degraded, one.clean) for cells in made.values() for one in cells]
        traits.append(traits_of(task, kind, pairs))
    return Sheet(task, tuple(rows), tuple(traits))


def _made(degradation: Degradation, kind: str, scene: Scene, other: Scene, seed: int, name: str) -> list[Degraded]:
    """The photograph degraded at every severity, in ascending order."""
    height, width = scene.image.shape[:2]
    shown = Scene(scene.image, other=other.image if degradation.needs_other else None)
    return [
        degradation.apply(
            shown, degradation.sample(rng_for(seed, "sheet", degradation.name, kind, name), (height, width), s, kind)
        )
        for s in SEVERITIES
    ]


def _other(scenes: dict[Photograph, Scene], index: int) -> Scene:
    return list(scenes.values())[(index + 1) % len(scenes)]


def _row(task: str, number: int, kind: str, photograph: str, made: list[Degraded]) -> Row:
    cells = [to_uint8(made[0].clean), *(to_uint8(one.degraded) for one in made)]
    gutter = np.full((cells[0].shape[0], GUTTER, 3), 255, np.uint8)
    strip = [part for cell in cells for part in (cell, gutter)][:-1]
    error = [np.mean((np.clip(one.degraded, 0, 1) - one.clean).astype(np.float64) ** 2) for one in made]
    psnr = tuple(f"{-10 * np.log10(max(1e-10, value)):.1f}" for value in error)
    file = f"degradations/{task.replace('_', '-')}-{number + 1}.jpg"
    return Row(kind, photograph, file, np.concatenate(strip, axis=1), psnr)
