"""GLSGN for frames of 4K and more: network.py has the network, streaming.py runs the network patch by patch."""

from restorekit.models.glsgn.network import GLSGN
from restorekit.models.glsgn.pathway import GlsgnResult

NETWORK = GLSGN

__all__ = ["GLSGN", "NETWORK", "GlsgnResult"]
