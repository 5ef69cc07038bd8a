"""Errors that a user can cause: the message says what was found and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class RestorekitError(Exception):
    """Bad input from outside the process: parameters, photographs, shards, checkpoints, the registry.

    The message is one or two plain sentences for the user: what was expected, what was found, what to run next.
    Entry points print the message without a traceback and exit with status 1.
    """


def unknown_name(kind: str, name: str, known: Iterable[str]) -> RestorekitError:
    """The error for a name that is in no table; it suggests the closest known name and lists all."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return RestorekitError(f"unknown {kind} '{name}': {hint}known are {', '.join(names) or 'none'}")
