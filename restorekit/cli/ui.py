"""The command `ui`: the page on this machine."""

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from restorekit.errors import RestorekitError


def ui(
    model: Annotated[
        str | None,
        typer.Option(help="A model for all photos; default: the page finds out or asks what is wrong, and picks one."),
    ] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default: 7860, or the next free one.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, or cuda:1; default: cuda if there is a GPU.")] = None,
    memory: Annotated[float | None, typer.Option(help="GiB for restoring; default: half of the free memory.")] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
) -> None:
    """Opens a page on this machine for restoring photos; other machines cannot reach it, and Ctrl-C ends it."""
    from importlib.util import find_spec

    if find_spec("gradio") is None:
        raise RestorekitError("the page needs gradio, which is not installed: pip install '.[ui]'")
    from restorekit.restoring.finding import shipped_detector
    from restorekit.restoring.opening import Settings
    from restorekit.ui.desk import Desk, own_folder

    with own_folder() as folder:
        os.environ["GRADIO_TEMP_DIR"] = str(Path(folder, "uploads"))  # read when gradio is imported
        from restorekit.ui.page import HOST, launch

        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the folder goes then, too
        where = f"http://{HOST}:{port or '7860 or the next free port'}"
        print(f"the page is at {where}; Ctrl-C ends it", flush=True)
        detector = shipped_detector() if model is None else None
        desk = Desk(Path(folder, "results"), model, Settings(device=device, memory=memory), detector)
        launch(desk, port, browser)
