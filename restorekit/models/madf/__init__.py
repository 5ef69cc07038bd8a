"""MADF for inpainting: network.py joins the encoder of encoder.py and the decoders of decoders.py."""

from restorekit.models.madf.network import MADF, MadfResult

NETWORK = MADF

__all__ = ["MADF", "NETWORK", "MadfResult"]
