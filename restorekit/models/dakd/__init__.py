"""DAKD for rain, haze, raindrops and motion blur: both networks in network.py, what they are built of beside it."""

from restorekit.models.dakd.network import DAKD, DakdResult, Gates

__all__ = ["DAKD", "DakdResult", "Gates"]
