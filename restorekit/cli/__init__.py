"""The command line: one module a command; `main` runs it."""

from restorekit.cli.app import main

__all__ = ["main"]
