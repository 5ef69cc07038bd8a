"""Detectors that say of given photos what a test wants them to say."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from restorekit.detection.calibration import Calibration
from restorekit.detection.detector import whole_of
from restorekit.detection.folder import save_detector
from restorekit.detection.network import DetectorNetwork
from restorekit.tasks import DETECTED

ABSENT = 0.02  # the probability of labels that are not given


def save_taught(folder: Path, answers: Sequence[tuple[np.ndarray, Mapping[str, float]]]) -> None:
    """Writes a detector that answers each of a few small photos, uint8 (H, W, 3), with the given probabilities.

    Its last layer is solved for them; with thresholds of one half, the labels above are found.
    """
    torch.manual_seed(0)
    network = DetectorNetwork(len(DETECTED), 4).eval()
    seen: list[torch.Tensor] = []
    handle = network.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0]))
    with torch.inference_mode():
        for pixels, _ in answers:
            network(torch.from_numpy(whole_of(pixels)).permute(2, 0, 1)[None].float() / 255.0)
    handle.remove()
    wanted = np.array([[given.get(name, ABSENT) for name in DETECTED] for _, given in answers])
    logits = torch.from_numpy(np.log(wanted / (1.0 - wanted)))
    solved = torch.linalg.lstsq(torch.stack(seen).double(), logits, driver="gelsd").solution
    with torch.no_grad():
        network.head.weight.copy_(solved.T)
        network.head.bias.zero_()
    even = Calibration(dict.fromkeys(DETECTED, 1.0), dict.fromkeys(DETECTED, 0.5))
    save_detector(folder, network, even, {})
