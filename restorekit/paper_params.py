"""Writes the papers' settings into a params.yaml, comments kept, so that `dvc params diff` shows every value.

Facts and assumptions are those of the papers' documents: DMGN's network and its data's geometry are published, its loss
weights and schedule are the closest lineage's. The photographs stay what the file names: the papers' sets are many
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

VGG19 = "weights/vgg19.pth"  # torchvision's file, which the user brings

_DATA = {"short_side": 400, "train": {"variants": 200, "tiles": 1, "tile": 384, "shards": 64}}
_DMGN: dict[str, Any] = {
    "train": {},  # none of the laptop's own
    "options": {"width": 64, "trunk": "vgg19", "trunk_weights": VGG19, "init": "framework", "zero_last": False},
    "objective": {
        "pixel": "l1",
        "coarse": 1.0,
        "noise": 1.0,
        "perceptual": 0.2,
        "perceptual_trunk": "vgg19",
        "perceptual_weights": VGG19,
    },
}
PAPER: dict[str, Any] = {
    "datasets": {"reflection": _DATA, "rain": _DATA, "haze": _DATA},
    "train": {
        "steps": 400_000,  # 200 epochs of 8,000 pairs
        "batch_size": 4,
        "crop": 256,
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
    "runs": {"dmgn-reflection": _DMGN, "dmgn-rain": _DMGN, "dmgn-haze": _DMGN},
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


def _set(values: Any, changes: dict[str, Any]) -> None:
    for key, change in changes.items():
        if isinstance(change, dict) and change:
            _set(values.setdefault(key, {}), change)
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
    print(f"put torchvision's VGG-19 weights at {VGG19}, and your photographs into photos.folders")


if __name__ == "__main__":
    run_entry(main)
