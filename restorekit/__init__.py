"""restorekit trains image-restoration networks on synthesised degradations and restores photographs with them."""

__version__ = "0.1.0"
