"""The program `restorekit` and the list of its commands.

A command imports torch and mlflow only where it needs them, so that help and errors come at once.
"""

import typer

from restorekit.cli.degrade import degrade
from restorekit.cli.detect import detect
from restorekit.cli.export import export
from restorekit.cli.registry import import_weights, models
from restorekit.cli.restore import restore
from restorekit.cli.ui import ui
from restorekit.entry import run_entry
from restorekit.tasks import degradations_in_words

COMMANDS = (restore, detect, ui, degrade, models, import_weights, export)

app = typer.Typer(
    help=f"Restores photographs degraded by {degradations_in_words()}, with models you have trained.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in COMMANDS:
    app.command()(command)


def main() -> None:
    """Runs the command line; a user's error is one message on stderr and exit status 1."""
    run_entry(app)
