"""DAKD for rain, haze, raindrops and motion blur: network.py joins the teacher and the student."""

from restorekit.models.dakd.network import DAKD, DakdResult

NETWORK = DAKD

__all__ = ["DAKD", "NETWORK", "DakdResult"]
