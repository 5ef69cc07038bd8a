"""`make bench`: CPU milliseconds for a pair on one core, ours and others', on the same photographs in one run.

Ours is everything from 8-bit photograph to 8-bit pair: parameters drawn and applied, mask and layers, rounding. Both
sides keep freed memory, as synthesis does. The ratio (theirs / ours) is null where the opponent does less, and the case
says what: dashes of one width and angle (RandomRain), fog that is the same near and far (RandomFog), one straight
kernel of a few pixels for the whole frame at every size (all three blurs). Blots that refract nothing (Spatter) and fog
that ignores depth (imagecorruptions) have a ratio all the same. Two libraries, kornia and imagecorruptions, are timed
by opponents.py in an environment of their own.

python tests/bench/degradations.py data/bench/degradations.json [python of .venv-bench]
"""

import io
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", NO_ALBUMENTATIONS_UPDATE="1")

import cv2
import numpy as np
from PIL import Image
from skimage import data

from restorekit.cluster import keep_freed_memory
from restorekit.degradations import Degraded, Scene, get_degradation
from restorekit.degradations.camera import draw_camera, photographed
from restorekit.files import write_json
from restorekit.image import decode_rgb, encode_rgb, to_float, to_uint8
from restorekit.rng import rng_for
from restorekit.shards.staging import KEPT_MEMORY
from restorekit.tasks import TASKS

SIZES = {"256 x 256": (256, 256), "4K": (2160, 3840)}
REPEATS = {"256 x 256": 24, "4K": 3}  # a quarter of them warms up
UNIT = "CPU ms a pair"
# The effect of keep_freed_memory, for a process that does not import it.
KEPT = {
    **os.environ,
    "MALLOC_TRIM_THRESHOLD_": str(KEPT_MEMORY["kept_bytes"]),
    "MALLOC_MMAP_THRESHOLD_": str(KEPT_MEMORY["block_bytes"]),
}
STRAIGHT = "theirs one straight kernel, the same all over the frame, not in linear light"
DASHES = "theirs dashes of one width and angle"
# Opponent, our task and kind, and the effects that it leaves out: "" if none.
ALBUMENTATIONS = {
    "RandomRain": ("rain", "light", DASHES),
    "RandomFog": ("haze", "uniform", "theirs the same near and far"),
    "Spatter": ("raindrop", "crisp", ""),
    "MotionBlur": ("motion_blur", "shake", STRAIGHT),
}
BESIDE = {
    "imagecorruptions 1.1.2 fog": ("haze", "varying", ""),
    "imagecorruptions 1.1.2 motion_blur": ("motion_blur", "shake", STRAIGHT),
    "imagecorruptions 1.1.2 spatter": ("raindrop", "crisp", ""),
    "kornia 0.8.2 RandomRain": ("rain", "light", DASHES),
    "kornia 0.8.2 RandomMotionBlur": ("motion_blur", "shake", STRAIGHT),
}


def main() -> None:
    cv2.setNumThreads(1)
    keep_freed_memory(**KEPT_MEMORY)
    target, python = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""
    photographs = {name: _photographs(size) for name, size in SIZES.items()}
    ours = {
        (task, kind, name): _time_ours(task, kind, photographs[name], REPEATS[name])
        for name in SIZES
        for task in TASKS
        for kind in TASKS[task].kinds
    }
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    rows = [_row(f"{task} {kind}, {size}", *found) for (task, kind, size), found in ours.items()]
    rows.append({**_row("peak memory of all tasks at 4K, with the photographs", memory, 1), "unit": "GiB"})
    theirs = {**_albumentations(photographs), **_beside(photographs, python)}
    for (opponent, size), milliseconds in theirs.items():
        task, kind, less = {**_named(), **BESIDE}[opponent]
        mine, count = ours[task, kind, size]
        case = f"{task} {kind}, {size}" + (f"; {less}" if less else "")
        rows.append(_row(case, mine, count, opponent, milliseconds, not less))
    rows += [_camera(size, images) for size, images in photographs.items()]
    rows += _decoding(photographs["256 x 256"])
    write_json(target, {"machine": _machine(), "rows": rows})
    for row in rows:
        against = f"  {row['opponent']}: {row['theirs']:g}, ratio {row['ratio']}" if row["opponent"] else ""
        print(f"{row['case']:52} {row['ours']:9g} {row['unit']}{against}")
    print(f"{len(rows)} rows in {target}")


def _photographs(size: tuple[int, int]) -> list[np.ndarray]:
    """Four photographs stretched to the size, uint8."""
    loaded = [getattr(data, name)()[..., :3] for name in ("astronaut", "chelsea", "coffee", "rocket")]
    return [np.ascontiguousarray(cv2.resize(one, size[::-1], interpolation=cv2.INTER_AREA)) for one in loaded]


def _median(work: Callable[[int], Any], repeats: int) -> float:
    """The median of the CPU milliseconds of `work(number)`."""
    spent = []
    for number in range(repeats):
        began = time.process_time()
        work(number)
        spent.append(1e3 * (time.process_time() - began))
    return float(np.median(spent[repeats // 4 :]))


def _time_ours(task: str, kind: str, photographs: list[np.ndarray], repeats: int) -> tuple[float, int]:
    degradation = get_degradation(task)

    def work(number: int) -> np.ndarray:
        image = to_float(photographs[number % 4])
        other = to_float(photographs[(number + 1) % 4]) if degradation.needs_other else None
        severity = 0.2 + 0.6 * (number % 4) / 3
        params = degradation.sample(rng_for(number, task), image.shape[:2], severity, kind)
        return to_uint8(degradation.apply(Scene(image, other=other), params).degraded)

    return _median(work, repeats), repeats - repeats // 4


def _named() -> dict[str, tuple[str, str, str]]:
    import albumentations

    return {f"albumentations {albumentations.__version__} {name}": about for name, about in ALBUMENTATIONS.items()}


def _albumentations(photographs: dict[str, list[np.ndarray]]) -> dict[tuple[str, str], float]:
    import albumentations

    found = {}
    for opponent in _named():
        transform = getattr(albumentations, opponent.split()[-1])(p=1.0)
        for size, images in photographs.items():
            found[opponent, size] = _median(lambda n, t=transform, i=images: t(image=i[n % 4]), REPEATS[size])
    return found


def _beside(photographs: dict[str, list[np.ndarray]], python: str) -> dict[tuple[str, str], float]:
    """The figures of opponents.py in its own environment; without the environment none, and a line that says so."""
    if not python or not Path(python).exists():
        print("kornia and imagecorruptions are left out: .venv-bench could not be made (see above)")
        return {}
    with tempfile.TemporaryDirectory() as folder:
        for size, images in photographs.items():
            np.save(Path(folder) / f"{size}.npy", np.stack(images))
        script = Path(__file__).with_name("opponents.py")
        done = subprocess.run(
            [python, str(script), folder, json.dumps(REPEATS)], capture_output=True, text=True, check=False, env=KEPT
        )
    if done.returncode:
        print(f"kornia and imagecorruptions are left out: {done.stderr.strip().splitlines()[-1]}")
        return {}
    found = json.loads(done.stdout.splitlines()[-1])
    return {(opponent, size): value for opponent, sizes in found.items() for size, value in sizes.items()}


def _camera(size: str, photographs: list[np.ndarray]) -> dict[str, Any]:
    """The camera of one record after another, beside Pillow's JPEG at quality 75, there and back."""
    images = [to_float(one) for one in photographs]

    def work(number: int) -> None:
        image = images[number % 4]
        photographed(Degraded(image, image, None, None, None), draw_camera(rng_for(number, "camera")))

    def round_trip(number: int) -> None:
        encoded = io.BytesIO()
        Image.fromarray(photographs[number % 4]).save(encoded, "JPEG", quality=75)
        np.asarray(Image.open(encoded))

    repeats = 4 * REPEATS[size]
    ours, theirs = _median(work, repeats), _median(round_trip, repeats)
    return _row(f"camera after a degradation, {size}", ours, repeats, "Pillow JPEG round trip", theirs, True)


def _decoding(photographs: list[np.ndarray]) -> list[dict[str, Any]]:
    """The reading time and the bytes of a shard encoding, compared with png."""
    encodings: tuple[tuple[Any, int | None], ...] = (("png", None), ("webp", None), ("jpeg", 95), ("jpeg", 85))
    spent, size = {}, {}
    for encoding, quality in encodings:
        data_of = [encode_rgb(image, encoding, quality) for image in photographs]
        name = encoding if quality is None else f"{encoding} at quality {quality}"
        spent[name] = 2 * _median(lambda n, d=data_of: decode_rgb(d[n % 4]), 80)
        size[name] = 2 * float(np.mean([len(one) for one in data_of])) / 1024
    rows = []
    for unit, values in (("CPU ms a pair", spent), ("KiB a pair", size)):
        for name, value in values.items():
            reference = ("png", values["png"], True) if name != "png" else (None, None, False)
            row = _row(f"shards of 256 x 256 in {name}", value, 60, *reference)
            rows.append({**row, "unit": unit})
    return rows


def _row(
    case: str, ours: float, n: int, opponent: str | None = None, theirs: float | None = None, same: bool = False
) -> dict[str, Any]:
    ratio = round(theirs / ours, 2) if same and theirs is not None else None
    return {
        "case": case, "unit": UNIT, "better": "lower", "ours": round(ours, 3), "opponent": opponent,
        "theirs": None if theirs is None else round(theirs, 3), "ratio": ratio, "n": n,
    }  # fmt: skip


def _machine() -> dict[str, Any]:
    names = [line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(), "cores": os.cpu_count(), "threads": 1,
        "python": platform.python_version(), "numpy": np.__version__, "opencv": cv2.__version__,
    }  # fmt: skip


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


if __name__ == "__main__":
    main()
