"""MADF for inpainting: the network in network.py, its encoder and decoders beside it."""

from restorekit.models.madf.network import MADF, MadfResult

__all__ = ["MADF", "MadfResult"]
