"""Times kornia and imagecorruptions in .venv-bench: CPU milliseconds an image, one thread, as JSON on the last line.

It imports nothing of restorekit. python opponents.py FOLDER REPEATS, called by degradations.py.
"""

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np

warnings.filterwarnings("ignore")


def median(work, repeats):
    spent = []
    for number in range(repeats):
        began = time.process_time()
        work(number)
        spent.append(1e3 * (time.process_time() - began))
    return float(np.median(spent[repeats // 4 :]))


def corruptions():
    from imagecorruptions import corrupt

    for name in ("fog", "motion_blur", "spatter"):

        def work(image, number, name=name):
            corrupt(image, corruption_name=name, severity=1 + number % 4)

        yield f"imagecorruptions 1.1.2 {name}", work


def kornia_transforms():
    import kornia.augmentation as augmentation
    import torch

    torch.set_num_threads(1)
    transforms = {
        "RandomRain": augmentation.RandomRain(p=1.0),
        "RandomMotionBlur": augmentation.RandomMotionBlur(kernel_size=(3, 21), angle=180.0, direction=1.0, p=1.0),
    }
    for name, transform in transforms.items():

        def work(image, number, transform=transform):
            pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
            (transform(pixels) * 255).clamp(0, 255).round().byte()

        yield f"kornia 0.8.2 {name}", work


def main():
    folder, repeats = Path(sys.argv[1]), json.loads(sys.argv[2])
    found = {}
    for opponents in (corruptions, kornia_transforms):
        for name, work in opponents():
            found[name] = {}
            for size, count in repeats.items():
                images = np.load(folder / f"{size}.npy")
                try:
                    found[name][size] = median(lambda n, w=work, i=images: w(i[n % 4], n), count)
                except Exception as error:  # an opponent that fails at a size has no figure for it
                    print(f"{name} at {size}: {type(error).__name__}: {error}", file=sys.stderr)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
