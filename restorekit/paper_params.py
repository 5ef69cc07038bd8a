"""Writes the papers' settings into the parameters files, comments kept, so that `dvc params diff` shows every value.

DMGN's network and the geometry of its data are published; its loss weights and schedule are those of the closest
lineage. MADF's settings are those of its released code. DAKD's and GLSGN's settings are a default design, because their
authors' trainings are unknown. The file's photographs stay: the papers' sets hold many thousands of photographs,
without the seven embedded scenes.

For several GPUs, each takes the papers' batch, in as many fewer steps, so that a training sees as many samples. The
learning rate rises with the square root of the batch, after a warm-up. Nobody has tried this on these networks. A run
with a batch of its own, which no paper names, keeps one GPU; so do the ablations.
"""

import sys
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from restorekit.config import load_params
from restorekit.config.layers import read_values
from restorekit.entry import run_entry
from restorekit.errors import RestorekitError
from restorekit.files import write_atomically

VGG19 = "weights/vgg19.pth"  # torchvision's files, which the user brings
VGG16 = "weights/vgg16.pth"
OTHERS = ("more", "long")  # folders below pipelines/ whose parameters the papers have values for
CHECKED = (*OTHERS, "ablations")
WARMUP_STEPS = 10  # for several GPUs, and times the factor on the learning rate

_DATA = {"short_side": 400, "train": {"variants": 200, "tiles": 1, "tile": 384, "shards": 64, "clean": 0.0}}
_INPAINTING = {"short_side": 572, "train": {"variants": 200, "tiles": 1, "tile": 512, "shards": 64}}
_UHD = {  # the frames are the paper's
    "short_side": 2160,
    "long_side": 3840,
    "train": {"variants": 20, "tiles": 4, "tile": 1280, "shards": 64, "clean": 0.0, "camera": 0.0},
}
_ALONE = {"num_workers": 1, "lr_scale": "none", "lr_batch": None}  # of a run that keeps one GPU beside others' many
_OWN: dict[str, Any] = {"objective": {}, "train": {}}  # a run without the laptop's settings
_NARROWER = {**_OWN, "options": {"width": None}}  # one that is narrower than its model's other runs
_TURNED = ["horizontal", "vertical", "transpose"]

PAPER: dict[str, Any] = {
    "datasets": {"reflection": _DATA, "rain": _DATA, "haze": _DATA, "inpainting": _INPAINTING},
    "models": {
        # The statistics of the Noise Distribution Map are taken per image; the authors take them over the batch, as
        # with `ndm_batch_stats: true`.
        "dmgn": {
            "options": {
                "width": 64,
                "trunk": "vgg19",
                "trunk_weights": VGG19,
                "init": "framework",
                "zero_last": False,
            },
            "objective": {"perceptual": 0.2, "perceptual_trunk": "vgg19", "perceptual_weights": VGG19},
        },
        "glsgn": {
            "options": {
                "width": 32,
                "zero_last": False,
                "overlap": 0,
                "patch_norm": "joint",
                "recompute": True,
                "negative_slope": 0.0,
            },
            "objective": {
                "pixel": "l1",
                "perceptual": 0.1,
                "perceptual_trunk": "vgg19",
                "perceptual_weights": VGG19,
            },
            "train": {"batch_size": 1, "lr": 1e-4, "schedule": "cosine", "milestones": [], "flips": ["horizontal"]},
        },
        "dakd": {
            "options": {"width": 32, "init": "framework", "zero_last": False, "negative_slope": 0.0},
            "objective": {"localise_steps": 100_000},
            "train": {"batch_size": 8, "lr": 1e-4, "schedule": "cosine", "milestones": [], "flips": _TURNED},
        },
        "madf": {
            "options": {"width": 64, "init": "framework", "start": "mean"},
            # The style loss is on the first output alone, as in the released code.
            "objective": {
                "perceptual": 0.05,
                "style": 120.0,
                "style_on": "out_1",
                "trunk": "vgg16",
                "trunk_weights": VGG16,
            },
            "train": {
                "steps": 1_000_000,  # as the released weights of Places2 are named
                "batch_size": 6,
                "crop": 512,
                "schedule": "constant",
                "milestones": [],  # clears the other runs' milestones
                "grad_clip": 1e9,  # none
                "ema_decay": 0.0,  # none
            },
        },
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
        "dmgn-reflection": _NARROWER,
        "glsgn-rain": _OWN,
        "dakd-haze": _NARROWER,
        "madf-inpainting": _OWN,
    },
}
MORE: dict[str, Any] = {
    "datasets": {"raindrop": _DATA, "motion_blur": _DATA},
    "runs": {
        "dmgn-rain": _OWN,
        "dmgn-haze": _OWN,
        "glsgn-reflection": _OWN,
        "glsgn-haze": _OWN,
        "dakd-rain": {"objective": {}, "train": {"flips": ["horizontal"]}},
        "dakd-raindrop": _OWN,
        "dakd-motion_blur": _OWN,
    },
}
LONG: dict[str, Any] = {
    "datasets": {"reflection-uhd": _UHD, "rain-uhd": _UHD, "haze-uhd": _UHD},
    "runs": {"glsgn-rain-uhd--long": {"objective": {}, "train": {"steps": 400_000, "crop": 1024}}},
}
# Sections that are replaced as a whole; in all others, only the named values change.
_WHOLE = ("objective", "train")


def for_gpus(values: Mapping[str, Any], gpus: int) -> dict[str, Any]:
    """The papers' values for `gpus` GPUs; None stands for a key that the files must not have."""
    changed: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            changed[key] = for_gpus(value, gpus)
        elif key == "batch_size":
            changed |= {"batch_size": None, "batch_per_worker": value, "lr_batch": value} if gpus > 1 else {key: value}
        elif key in ("steps", "localise_steps", "validate_every"):
            changed[key] = -(-value // gpus)
        elif key == "warmup_steps" and gpus > 1:
            changed[key] = WARMUP_STEPS
        else:
            changed[key] = value
    return changed


def _world(gpus: int) -> dict[str, Any]:
    """The settings of `train` that say how many GPUs there are."""
    if gpus == 1:
        return {"num_workers": 1, "batch_per_worker": None, "lr_scale": None, "lr_batch": None}
    return {"num_workers": gpus, "lr_scale": "sqrt"}


def write_paper_params(path: Path, gpus: int = 1) -> None:
    """Sets the papers' values in params.yaml at `path` and in the files of `pipelines/` in the same folder.

    All other values and comments stay; runs and data sets that are missing from their file are not added. Nothing is
    written unless all files together are valid.
    """
    yaml = YAML()
    yaml.width = 120
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    others = {name: path.parent / "pipelines" / name / "params.yaml" for name in CHECKED}
    tables = {path: PAPER, others["more"]: MORE, others["long"]: LONG}
    changes = {file: for_gpus(table, gpus) for file, table in tables.items()}
    changes[path]["train"] |= _world(gpus)
    changes[others["ablations"]] = {}
    written: dict[Path, str] = {}
    for file, change in changes.items():
        if file == path or file.is_file():
            read_values(file)  # refuses a file without parameters
            values = yaml.load(file.read_text())
            _set(values, change)
            _keep_one_gpu(values, change, gpus)
            stream = StringIO()
            yaml.dump(values, stream)
            written[file] = stream.getvalue()

    def read(file: Path) -> dict[str, Any]:
        found = next((text for known, text in written.items() if known.resolve() == file.resolve()), None)
        return read_values(file) if found is None else dict(YAML(typ="safe", pure=True).load(found))

    for extra in [None, *(file for file in others.values() if file.is_file())]:
        load_params(path, extra, read)
    for file, text in written.items():
        with write_atomically(file) as partial:
            partial.write_text(text)


def _set(values: Any, changes: Mapping[str, Any], path: tuple[str, ...] = ()) -> None:
    for key, change in changes.items():
        named = path in (("runs",), ("datasets",), ("models",))
        if named and key not in values:
            continue
        if change is None:
            values.pop(key, None)
            continue
        whole = len(path) == 2 and path[0] in ("runs", "models") and key in _WHOLE
        if isinstance(change, Mapping) and not whole:
            _set(values.setdefault(key, {}), change, (*path, key))
        elif (change or key in values) and values.get(key) != change:
            given = isinstance(change, Mapping)
            values[key] = {name: one for name, one in change.items() if one is not None} if given else change


def _keep_one_gpu(values: Any, change: Mapping[str, Any], gpus: int) -> None:
    """Gives one worker, and the batch and rate that are written, to ablations and to runs without a paper's values.

    Where all runs have one GPU, the lines that said so are removed.
    """
    named = change.get("runs", {})
    sections = [(run["model"], run) for name, run in (values.get("runs") or {}).items() if name not in named]
    for model, section in [*sections, *(values.get("ablations") or {}).items()]:
        batch = PAPER["models"].get(model, {}).get("train", {}).get("batch_size", PAPER["train"]["batch_size"])
        train = section.setdefault("train", {}) if gpus > 1 else section.get("train", {})
        if gpus > 1:
            if "batch_per_worker" not in train:
                train.setdefault("batch_size", batch)
            train |= _ALONE
        elif {name: train.get(name, "") for name in _ALONE} == _ALONE:
            for name in _ALONE:
                del train[name]
            if train.get("batch_size") == batch:  # as without the line
                del train["batch_size"]
            if not train:
                del section["train"]


def main() -> None:
    given = sys.argv[2:] or ["1"]
    if len(sys.argv) not in (2, 3) or not given[0].isdigit() or int(given[0]) < 1:
        raise RestorekitError("usage: python -m restorekit.paper_params params.yaml [number of GPUs, at least 1]")
    write_paper_params(Path(sys.argv[1]), int(given[0]))
    print("the parameters files have the papers' settings now: `dvc params diff` shows them, `git checkout` undoes it")
    print(f"put torchvision's weights at {VGG19} and {VGG16}, and your photographs into photos.folders")


if __name__ == "__main__":
    run_entry(main)
