"""Ends every program the same way: a user's error gives one message and status 1, an interruption status 130."""

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable
from pathlib import Path

from restorekit.errors import RestorekitError


def run_entry(main: Callable[[], None]) -> None:
    """Runs `main`; prints a RestorekitError as ``error: ...`` on stderr, without a traceback, and exits with 1."""
    try:
        main()
    except RestorekitError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def stage_parser(says: str | None) -> ArgumentParser:
    """The command line of a stage, whose page says `says`: every stage takes a second parameters file."""
    parser = ArgumentParser(description=says, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument(
        "--params", type=Path, help="a second parameters file over params.yaml, such as pipelines/more/params.yaml"
    )
    return parser
