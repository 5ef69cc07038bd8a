"""Every program of the project ends alike: a user's error is one message and status 1, an interruption status 130."""

import sys
from collections.abc import Callable

from restorekit.errors import RestorekitError


def run_entry(main: Callable[[], None]) -> None:
    """Runs `main`; a RestorekitError is printed as ``error: ...`` on stderr without a traceback, and exits with 1."""
    try:
        main()
    except RestorekitError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
