"""What GLSGN can be told, what of it cannot be together, and what it says of itself."""

from typing import Any, Literal, get_args

from torch import Tensor

from restorekit.errors import RestorekitError, unknown_name
from restorekit.models.descriptor import Descriptor
from restorekit.models.glsgn.grid import GRANULE, Grid
from restorekit.models.glsgn.pathway import Norm
from restorekit.models.glsgn.streaming import STRIP_PIXELS

Design = Literal["stepwise", "whole", "tiles", "reduced", "reduced_detail"]
Path1Grid = Literal["4x4", "2x4", "4x2"]
CHOICES: dict[str, tuple[str, ...]] = {
    "design": get_args(Design),
    "path1_grid": get_args(Path1Grid),
    "patch_norm": get_args(Norm),
    "fusion": ("pyramid", "finest"),
    "order": ("fine_first", "coarse_first"),
    "f_tap": ("last", "middle"),
    "h3_source": ("h3", "l"),
    "output": ("residual", "direct"),
    "gate": ("plain", "residual"),
    "init": ("framework", "he"),
}
_DEFAULTS: dict[str, Any] = {
    "path1_grid": "4x4", "global_path": True, "feature_links": True, "attention_links": True, "patch_norm": "joint",
    "fusion": "pyramid", "order": "fine_first", "f_tap": "last", "h3_source": "h3", "gate": "plain", "detach": False,
    "overlap": 0,
}  # fmt: skip
_IGNORED: dict[str, set[str]] = {"alone": set(_DEFAULTS), "finest": {"h3_source"}, "pyramid": set()}
MIN_SIZE = 64  # pixels
STREAMED = ("stepwise", "tiles")  # designs
STREAMED_FROM = 2**22  # pixels: from here on the arithmetic hides what each patch costs by itself
HALO = 64  # pixels, where a frame must be cut after all: the statistics of a tile are not those of the frame
WHOLE_HALO = 72  # pixels; the context of the backbone is 70
GRIDS = {
    "4x4": Grid(4, 4, (2, 2)),
    "2x4": Grid(2, 4, (1, 2)),
    "4x2": Grid(4, 2, (2, 1)),
}


def check_size(image: Tensor) -> None:
    height, width = image.shape[-2:]
    if min(height, width) < MIN_SIZE:
        raise RestorekitError(f"{width}x{height} pixels are too few for glsgn: each side needs {MIN_SIZE} or more")


def describe(width: int, design: str) -> Descriptor:
    whole = design == "whole"
    return Descriptor(
        name="glsgn",
        tasks=("reflection", "rain", "haze"),
        takes_mask=False,
        min_size=MIN_SIZE,
        size_multiple=4 if whole else 1,
        tiling="exact" if whole else "approximate",
        halo=WHOLE_HALO if whole else HALO,
        bytes_per_pixel=_bytes_per_pixel(width, design),
        streams=design in STREAMED,
    )


def _bytes_per_pixel(width: int, design: str) -> int:
    """Of `forward`, from the float32 values that live at once. Three maps and an injection live in an encoder."""
    if design == "stepwise":
        return round(28.5 * width + 20)
    if design in ("whole", "tiles"):
        return round(19 * width + 26)
    return max(56, round(1.2 * width + 30))


def check_options(options: dict[str, Any]) -> None:
    for name, known in CHOICES.items():
        if options[name] not in known:
            raise unknown_name(f"{name} of glsgn", str(options[name]), known)
    ignored = _IGNORED["alone" if options["design"] != "stepwise" else options["fusion"]]
    for name in ignored - ({"path1_grid"} if options["design"] == "tiles" else set()):
        if options[name] != _DEFAULTS[name]:
            where = f"design {options['design']}" if options["design"] != "stepwise" else "fusion finest"
            raise RestorekitError(f"glsgn's {name} changes nothing with {where}: leave it out")
    overlap = options["overlap"]
    if isinstance(overlap, bool) or not isinstance(overlap, int) or overlap < 0 or overlap % GRANULE:
        raise RestorekitError(f"glsgn's overlap is a number of pixels, 0 or a multiple of {GRANULE}, not {overlap!r}")
    if overlap and options["patch_norm"] == "instance":
        raise RestorekitError(
            "glsgn's patch_norm instance needs regions, which an overlap joins: leave one of them out"
        )
    width = options["width"]
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise RestorekitError(f"glsgn's width is a whole number of channels, 1 or more, not {width!r}")


def streamed_bytes(options: dict[str, Any], height: int, width: int, hold: bool) -> int:
    """From the tensors that live at once at 4K and 8K: maps grow with the frame, strips do not."""
    channels: int = options["width"]
    if options["design"] == "tiles":
        per_pixel = 1.3 * channels + 32
    else:
        held = 6.7 if options["overlap"] else 6.2  # one region's map is made from another of its size, not a quarter's
        per_pixel = max(100.0, (held if hold else 4.2) * channels + 16)
    return round(height * width * per_pixel) + 14 * channels * STRIP_PIXELS
