"""DMGN for reflection, rain and haze: the network in network.py, what it is built of beside it."""

from restorekit.models.dmgn.network import DMGN, DmgnResult, Variant

__all__ = ["DMGN", "DmgnResult", "Variant"]
