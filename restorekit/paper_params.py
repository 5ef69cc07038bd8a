"""Writes the papers' settings into a params.yaml, comments kept, so that `dvc params diff` shows every value.

Facts and assumptions are those of the papers' documents: DMGN's network and its data's geometry are published, its loss
weights and schedule are the closest lineage's; MADF's settings are those of its released code; DAKD's are a default
design, for its authors' are not known. The photographs stay what the file names: the papers' sets are many
thousands, seven scenes are none of them.
"""

import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from restorekit.config import check_params
from restorekit.entry import run_entry
from restorekit.errors import RestorekitError
from restorekit.files import write_beside

VGG19 = "weights/vgg19.pth"  # torchvision's files, which the user brings
VGG16 = "weights/vgg16.pth"

_DATA = {"short_side": 400, "train": {"variants": 200, "tiles": 1, "tile": 384, "shards": 64}}
_DMGN: dict[str, Any] = {
    "train": {},  # none of the laptop's own
    "options": {"width": 64, "trunk": "vgg19", "trunk_weights": VGG19, "init": "framework", "zero_last": False},
    "objective": {
        "perceptual": 0.2,
        "perceptual_trunk": "vgg19",
        "perceptual_weights": VGG19,
    },
}
_MADF: dict[str, Any] = {
    "options": {"width": 64, "init": "framework", "start": "mean"},
    "objective": {"perceptual": 0.05, "style": 120.0, "trunk": "vgg16", "trunk_weights": VGG16},
    "train": {
        "steps": 1_000_000,  # as the released weights of Places2 are named
        "batch_size": 6,
        "crop": 512,
        "schedule": "constant",
        "milestones": [],  # those of the others, away
        "grad_clip": 1e9,  # none
        "ema_decay": 0.0,  # none
    },
}


def _dakd(flips: list[str]) -> dict[str, Any]:
    """A document's default design: the paper's own schedule is not known."""
    return {
        "options": {"width": 32, "init": "framework", "zero_last": False, "leak": 0.0},
        "objective": {"localise_steps": 100_000},
        "train": {"batch_size": 8, "lr": 1e-4, "schedule": "cosine", "milestones": [], "flips": flips},
    }


# The default design of a document: the paper's own training is not known. The frames are the paper's.
_GLSGN: dict[str, Any] = {
    "options": {"width": 32, "zero_last": False, "overlap": 0, "patch_norm": "joint", "recompute": True},
    "objective": {"pixel": "l1", "perceptual": 0.1, "perceptual_trunk": "vgg19", "perceptual_weights": VGG19},
    "train": {"batch_size": 1, "lr": 1e-4, "schedule": "cosine", "milestones": [], "flips": ["horizontal"]},
}
_UHD: dict[str, Any] = {
    "short_side": 2160,
    "long_side": 3840,
    "train": {"variants": 20, "tiles": 4, "tile": 1280, "shards": 64},
}


_TURNED = ["horizontal", "vertical", "transpose"]
_INPAINTING = {"short_side": 572, "train": {"variants": 200, "tiles": 1, "tile": 512, "shards": 64}}
PAPER: dict[str, Any] = {
    "datasets": {
        "reflection": _DATA,
        "rain": _DATA,
        "haze": _DATA,
        "raindrop": _DATA,
        "motion_blur": _DATA,
        "inpainting": _INPAINTING,
    },
    "train": {
        "steps": 400_000,  # 200 epochs of 8,000 pairs
        "batch_size": 4,
        "crop": 256,
        "optimizer": "adamw",
        "lr": 2e-4,
        "schedule": "milestones",
        "milestones": [[0.35, 0.5], [0.8, 0.25]],  # from epochs 70 and 160 of 200
        "warmup_steps": 0,
        "ema_decay": 0.999,
        "checkpoint_every": 1000,
        "validate_every": 5000,
        "log_every": 100,
        "loader_workers": 4,
        "use_gpu": True,
    },
    "runs": {
        "dmgn-reflection": _DMGN,
        "dmgn-rain": _DMGN,
        "dmgn-haze": _DMGN,
        "madf-inpainting": _MADF,
        "glsgn-reflection": _GLSGN,
        "glsgn-rain": _GLSGN,
        "glsgn-haze": _GLSGN,
        "dakd-rain": _dakd(["horizontal"]),
        "dakd-haze": _dakd(_TURNED),
        "dakd-raindrop": _dakd(_TURNED),
        "dakd-motion_blur": _dakd(_TURNED),
    },
    "long": {
        "datasets": {"reflection-uhd": _UHD, "rain-uhd": _UHD, "haze-uhd": _UHD},
        "runs": {"glsgn-rain-uhd--long": {**_GLSGN, "train": {**_GLSGN["train"], "steps": 400_000, "crop": 1024}}},
    },
}


def write_paper_params(path: Path) -> None:
    """Sets the papers' values in the file at `path`; whatever they do not name stays, comments too."""
    yaml = YAML()
    yaml.width = 120
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    try:
        values = yaml.load(path.read_text())
    except FileNotFoundError:
        raise RestorekitError(f"there is no {path}: run from the project's root") from None
    _set(values, PAPER)
    check_params(YAML(typ="safe", pure=True).load(_text(yaml, values)), f"{path.name} with the papers' settings")
    with write_beside(path) as beside:
        beside.write_text(_text(yaml, values))


def _set(values: Any, changes: dict[str, Any], in_runs: bool = False) -> None:
    """Takes over the changes; a run's objective and training are the paper's and nothing beside."""
    for key, change in changes.items():
        if isinstance(change, dict) and not (in_runs and key in ("objective", "train")):
            _set(values.setdefault(key, {}), change, in_runs or key == "runs")
        else:
            values[key] = change


def _text(yaml: YAML, values: Any) -> str:
    from io import StringIO

    stream = StringIO()
    yaml.dump(values, stream)
    return stream.getvalue()


def main() -> None:
    if len(sys.argv) != 2:
        raise RestorekitError("usage: python -m restorekit.paper_params params.yaml")
    write_paper_params(Path(sys.argv[1]))
    print(f"{sys.argv[1]} has the papers' settings now: `dvc params diff` shows them, `git checkout` undoes it")
    print(f"put torchvision's weights at {VGG19} and {VGG16}, and your photographs into photos.folders")


if __name__ == "__main__":
    run_entry(main)
