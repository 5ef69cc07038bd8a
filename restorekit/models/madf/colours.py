"""MADF's range: colours normalised by ImageNet's mean and standard deviation, so that 0 is its mean colour."""

from torch import Tensor

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def normalised(image: Tensor) -> Tensor:
    """An image (B, 3, H, W) in [0, 1] in the network's own range."""
    return (image - image.new_tensor(MEAN).view(3, 1, 1)) / image.new_tensor(STD).view(3, 1, 1)


def colours(output: Tensor) -> Tensor:
    """The network's own range to [0, 1], not clamped."""
    return output * output.new_tensor(STD).view(3, 1, 1) + output.new_tensor(MEAN).view(3, 1, 1)
