"""GLSGN for frames of 4K and more: the network in network.py, patches through it in turn in streaming.py."""

from restorekit.models.glsgn.network import GLSGN
from restorekit.models.glsgn.pathway import GlsgnResult

NETWORK = GLSGN

__all__ = ["GLSGN", "NETWORK", "GlsgnResult"]
