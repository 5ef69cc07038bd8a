"""The page in a browser: upload, slider, mask, download; every request stays on this machine. Needs the extra `ui`."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from restorekit.detection.detector import Detector
from restorekit.image import read_image
from restorekit.models import create_model
from restorekit.models.checkpoint import save_model
from restorekit.ui.desk import Desk
from tests.detection.taught import save_taught
from tests.restoring.conftest import photo

pytestmark = pytest.mark.browser
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SCREENS = {"wide": (1400, 900), "narrow": (390, 844)}


@pytest.fixture
def page(tmp_path: Path) -> Iterator["Served"]:
    pytest.importorskip("gradio", reason="pip install '.[ui]'")
    pytest.importorskip("playwright", reason="pip install playwright")
    if CHROMIUM is None:
        pytest.skip("no chromium here: apt-get install chromium")
    served = Served(tmp_path)
    yield served
    served.close()


class Served:
    """The command `ui` in a process of its own, and a browser."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.scratch = folder, folder / "tmp"
        self.scratch.mkdir()
        self.process: subprocess.Popen[str] | None = None

    def start(self, model: Path) -> str:
        import socket

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "restorekit.cli", "ui", "--no-browser", "--model", f"{model}/"]
        environment = dict(os.environ, TMPDIR=str(self.scratch), RESTOREKIT_ROOT=str(self.folder))
        self.process = subprocess.Popen(
            [*command, "--port", str(port)], env=environment, stdout=subprocess.PIPE, text=True
        )
        return f"http://127.0.0.1:{port}"

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)


@pytest.mark.parametrize("screen", SCREENS)
def test_a_photo_goes_through_the_page(page: Served, tmp_path: Path, screen: str) -> None:
    from playwright.sync_api import sync_playwright

    torch.manual_seed(0)
    record = {"run": "made", "task": "inpainting", "dataset": "inpainting", "seed": 0, "steps": 0}
    save_model(tmp_path / "model", create_model("madf", width=4, init="he", start="smooth"), record)
    first = photo(tmp_path / "holiday.png", 240, 320)
    address = page.start(tmp_path / "model")
    shots = Path(os.environ.get("RESTOREKIT_SCREENSHOTS", str(tmp_path)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        width, height = SCREENS[screen]
        tab = browser.new_page(viewport={"width": width, "height": height}, accept_downloads=True)
        tab.set_default_timeout(120_000)
        asked: list[str] = []
        tab.on("request", lambda request: asked.append(request.url))
        for _ in range(600):
            try:
                tab.goto(address)
                break
            except Exception:
                tab.wait_for_timeout(200)
        assert status_for("example.org", address) == 400  # a name that somebody points at this machine
        assert status_for(address.removeprefix("http://"), address) == 200
        tab.set_input_files("#photo input[type=file]", str(first))
        tab.get_by_text("PNG, 320 x 240 pixels").wait_for()
        canvas = tab.locator("#canvas canvas").first
        canvas.wait_for()
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        tab.mouse.move(x - 30, y)
        tab.mouse.down()
        tab.mouse.move(x + 30, y, steps=10)
        tab.mouse.up()
        tab.screenshot(path=shots / f"page-{screen}-painted.png", full_page=True)
        tab.locator("#restore").click()
        tab.locator("#slider img").first.wait_for()
        tab.screenshot(path=shots / f"page-{screen}-restored.png", full_page=True)
        handle = tab.locator("#slider .handle, #slider .outer").first
        handle.scroll_into_view_if_needed()
        box = handle.bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        tab.mouse.move(x, y)
        tab.mouse.down()
        tab.mouse.move(x - 80, y, steps=5)
        tab.mouse.up()
        moved = handle.bounding_box()
        assert moved is not None
        assert moved["x"] < box["x"] - 40
        tab.screenshot(path=shots / f"page-{screen}-slid.png", full_page=True)
        with tab.expect_download() as waiting:
            tab.locator("#download").click()
        waiting.value.save_as(tmp_path / "got.png")
        assert waiting.value.suggested_filename == "holiday.restored.png"
        browser.close()
    outside = [url for url in asked if not url.startswith((address, "data:", "blob:"))]
    assert outside == []
    before, after = read_image(first).pixels, read_image(tmp_path / "got.png").pixels
    changed = (before != after).any(axis=2)
    assert 0 < changed.sum() < 0.3 * changed.size
    rows, columns = np.nonzero(changed)
    assert abs(rows.mean() - 120) < 40
    assert abs(columns.mean() - 160) < 40
    page.close()
    assert list(page.scratch.glob("restorekit-ui-*")) == []
    assert list(page.scratch.glob("gradio*")) == []


def test_what_is_wrong_is_told_and_its_task_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gradio", reason="pip install '.[ui]'")
    pytest.importorskip("playwright", reason="pip install playwright")
    if CHROMIUM is None:
        pytest.skip("no chromium here: apt-get install chromium")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    from playwright.sync_api import sync_playwright

    from restorekit.ui.page import launch

    wet = photo(tmp_path / "wet.png", 60, 80)
    save_taught(tmp_path / "detector", [(read_image(wet).pixels, {"raindrop": 0.87})])
    desk = Desk(tmp_path / "results", detector=Detector.load(tmp_path / "detector"))
    address = launch(desk, None, browser=False, block=False)
    shots = Path(os.environ.get("RESTOREKIT_SCREENSHOTS", str(tmp_path)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1400, "height": 900})
        tab.set_default_timeout(120_000)
        tab.goto(address)
        assert tab.locator("#task input").input_value() == "reflection"
        tab.set_input_files("#photo input[type=file]", str(wet))
        tab.get_by_text("Found: raindrop 0.87.").wait_for()
        tab.screenshot(path=shots / "page-found.png", full_page=True)
        assert tab.locator("#task input").input_value() == "raindrop"
        browser.close()


def status_for(host: str, address: str) -> int:
    """The status of the page's answer to a browser that knows it by the name `host`."""
    import http.client

    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
    connection.request("GET", "/", headers={"Host": host})
    status = connection.getresponse().status
    connection.close()
    return status
