"""What GLSGN gives."""

from typing import NamedTuple

from torch import Tensor


class GlsgnResult(NamedTuple):
    """What GLSGN finds: images around [0, 1], not clamped, float32. A design without paths has the image alone."""

    restored: Tensor  # B_out (B, 3, H, W)
    paths: tuple[Tensor, ...]  # B_1, B_2, B_3 at scale 1, 1/2, 1/4
    reduced: Tensor | None  # B_g at scale 1/4; None without a global path
    gates: tuple[Tensor, ...]  # A_g, where there is one, then A_1, A_2, A_3; detached, in (0, 1)
