"""What the report shows of a network that localises: its mask's figures, and maps over the photograph."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from restorekit.report.inputs import RunResult
from restorekit.report.wording import signed, slug

# Name of a figure -> what it says, digits after the point, whether it is a difference.
SAYS: dict[str, tuple[str, int, bool]] = {
    "share": ("share of pixels that are degraded", 3, False),
    "f1": ("F1 of the predicted mask", 3, False),
    "f1_all_white": ("F1 of a mask that is all white", 3, False),
    "f1_all_black": ("F1 of a mask that is all black", 3, False),
    "iou": ("intersection over union", 3, False),
    "auc": ("area under the ROC curve", 3, False),
    "gain_inside": ("PSNR gain inside the true mask, dB", 2, True),
    "gain_outside": ("PSNR gain outside of it, dB", 2, True),
    "correlation": ("correlation of the encoder's energy with the true mask", 3, True),
    "oracle_gain": ("PSNR with the true mask instead, dB", 2, True),
    "black_gain": ("PSNR with a mask of all black instead, dB", 2, True),
    "white_gain": ("PSNR with a mask of all white instead, dB", 2, True),
}


@dataclass(frozen=True)
class FigureLine:
    """A row of the table, as texts."""

    says: str
    mean: str
    low: str
    high: str
    n: int
    dataset: str


@dataclass(frozen=True)
class Strip:
    file: str  # relative to the page
    title: str
    panels: tuple[str, ...]


@dataclass(frozen=True)
class MaskSection:
    lines: list[FigureLine]
    strips: list[Strip]


def mask_section(folder: Path, number: int, result: RunResult) -> MaskSection | None:
    """The section of run `number`, its pictures copied into `folder`; None for a network that does not localise."""
    if not result.masks:
        return None
    lines = []
    for figure in result.masks:
        says, digits, is_signed = SAYS[figure.name]
        values = (figure.mean, *figure.ci95)
        mean, low, high = (signed(value, digits) if is_signed else f"{value:.{digits}f}" for value in values)
        lines.append(FigureLine(says, mean, low, high, figure.n, figure.dataset))
    strips = []
    for index, strip in enumerate(result.maps, start=1):
        name = f"pictures/{number:02d}-maps-{index:02d}-{slug(strip.key)}.png"
        (folder / "pictures").mkdir(exist_ok=True)
        shutil.copyfile(strip.file, folder / name)
        strips.append(Strip(name, strip.photograph, strip.panels))
    return MaskSection(lines, strips)
