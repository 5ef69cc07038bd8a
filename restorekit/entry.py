"""Ends every program the same way: a user's error gives one message and status 1, an interruption status 130."""

import errno
import io
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable
from pathlib import Path

from restorekit.errors import RestorekitError
from restorekit.files import FULL

REFUSED = (*FULL, errno.EACCES, errno.EPERM, errno.EROFS)

INTERRUPTED = 130  # the exit status of a program that Ctrl-C has ended


class Interrupted(BaseException):
    """Ctrl-C, where the message says what is done and how to go on."""


def run_entry(main: Callable[[], None]) -> None:
    """Runs `main`; prints a RestorekitError as ``error: ...`` on stderr, without a traceback, and exits with 1.

    An interruption prints one line and exits with 130. A character that the terminal's encoding lacks is escaped. An
    error of the system about a full disk or a place that cannot be written is a user's error, too.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        main()
    except RestorekitError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        sys.exit(1)
    except Interrupted as interrupt:
        print(f"interrupted: {printable(str(interrupt))}", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        place = f"{error.filename2 or error.filename}: " if error.filename else ""
        remedy = "make room" if error.errno in FULL else "make it writable for this user"
        print(f"error: {printable(place)}{error.strerror}: {remedy} and run the same command again", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:  # typer's own answer to Ctrl-C, which says nothing
            print("interrupted", file=sys.stderr)
        raise


def printable(text: str) -> str:
    """`text` with all but printable characters, spaces and line breaks escaped: a file's name can hold anything."""
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode() for char in text
    )


def stage_parser(says: str | None) -> ArgumentParser:
    """The command line of a stage, whose page says `says`: every stage takes a second parameters file."""
    parser = ArgumentParser(description=says, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument(
        "--params", type=Path, help="a second parameters file over params.yaml, such as pipelines/more/params.yaml"
    )
    return parser
