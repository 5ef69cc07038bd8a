"""Ends every program the same way: a user's error gives one message and status 1, an interruption status 130."""

import sys
from collections.abc import Callable

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
