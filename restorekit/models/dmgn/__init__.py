"""DMGN for reflection, rain and haze: network.py joins the phases of phases.py, which are built of cells.py."""

from restorekit.models.dmgn.network import DMGN, DmgnResult

NETWORK = DMGN

__all__ = ["DMGN", "NETWORK", "DmgnResult"]
