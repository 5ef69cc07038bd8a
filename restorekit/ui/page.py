"""The page: gradio's components around a `Desk`, on loopback, with nothing from and nothing to anywhere else."""

from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from restorekit.errors import RestorekitError
from restorekit.restoring.selection import SUFFIXES
from restorekit.tasks import REAL_TASKS
from restorekit.ui.desk import MAX_UPLOAD_MB, Desk

HOST = "127.0.0.1"
FORGET_S = 6 * 3600  # seconds after which gradio's copies of uploads and results are removed while the page runs
# The browser itself keeps the page from asking another host for anything.
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
)
FONTS = ["system-ui", "sans-serif"]
PROGRESS = gr.Progress()


class LockedIn:
    """Adds the content security policy to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", POLICY.encode())]
            await send(message)

        await self.app(scope, receive, guarded)


def build(desk: Desk) -> gr.Blocks:
    """The page of a desk."""

    def looked(path: str | None) -> tuple[Any, ...]:
        if path is None:
            return "", None, None, None, gr.update()
        try:
            look = desk.look(Path(path))
        except RestorekitError as error:
            raise gr.Error(_for_page(error, path), print_exception=False) from error
        return look.text, look.shown, None, None, gr.update() if look.task is None else gr.update(value=look.task)

    def painting(task: str) -> Any:
        return gr.update(visible=desk.needs_mask(task))

    def restored(
        path: str | None, task: str, strength: float, canvas: dict[str, Any] | None, progress: gr.Progress = PROGRESS
    ) -> tuple[Any, ...]:
        if path is None:
            raise gr.Error("drop a photo first", print_exception=False)
        try:
            done = desk.restore(
                Path(path), task, strength, _painted(canvas), lambda now, of: progress((now, of), unit="tiles")
            )
        except RestorekitError as error:
            raise gr.Error(_for_page(error, path), print_exception=False) from error
        notes = "\n".join(f"- {_for_page(note, path)}" for note in done.notes)
        return (str(done.before), str(done.after)), gr.update(value=str(done.result), interactive=True), notes

    with gr.Blocks(title="restorekit", analytics_enabled=False, delete_cache=(60, FORGET_S)) as page:
        gr.Markdown("# restorekit\nRestores a photo on this machine. Nothing leaves it, and nothing stays.")
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                photo = gr.File(label="Photo", file_types=list(SUFFIXES), elem_id="photo")
                found = gr.Markdown(elem_id="found")
                task = gr.Dropdown(
                    list(REAL_TASKS), value=REAL_TASKS[0], label="What is wrong", elem_id="task",
                    visible=desk.model is None,
                )  # fmt: skip
                strength = gr.Slider(0, 1, 1, step=0.05, label="Strength", elem_id="strength")
                go = gr.Button("Restore", variant="primary", elem_id="restore")
                download = gr.DownloadButton("Download the result", interactive=False, elem_id="download")
                notes = gr.Markdown(elem_id="notes")
            with gr.Column(scale=3, min_width=300):
                canvas = gr.ImageEditor(
                    label="Paint the holes", elem_id="canvas", type="numpy", sources=(), transforms=(),
                    layers=False, brush=gr.Brush(colors=["#ff00ff"], color_mode="fixed", default_size=24),
                    visible=desk.needs_mask(REAL_TASKS[0]),
                )  # fmt: skip
                slider = gr.ImageSlider(
                    label="Before and after", elem_id="slider", type="filepath", interactive=False, max_height=900,
                    buttons=["fullscreen"],
                )  # fmt: skip
        photo.change(looked, photo, [found, canvas, slider, notes, task])
        task.change(painting, task, canvas)
        go.click(restored, [photo, task, strength, canvas], [slider, download, notes], concurrency_limit=1)
    return page


def launch(desk: Desk, port: int | None, browser: bool, block: bool = True) -> str:
    """Serves the page on loopback, by default until Ctrl-C, and returns its address."""
    _, address, _ = build(desk).queue(max_size=8, api_open=False).launch(
        server_name=HOST, server_port=port, inbrowser=browser, share=False, quiet=True, prevent_thread_lock=not block,
        max_file_size=f"{MAX_UPLOAD_MB}mb", allowed_paths=[str(desk.folder)], footer_links=[], run_history=False,
        enable_monitoring=False, ssr_mode=False, pwa=False, mcp_server=False,
        theme=gr.themes.Default(font=FONTS, font_mono=["ui-monospace", "monospace"]),
        app_kwargs={"middleware": [
            Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"]), Middleware(LockedIn),
        ]},
    )  # fmt: skip
    return str(address)


def _painted(canvas: dict[str, Any] | None) -> np.ndarray | None:
    """Where the user painted, uint8 (h, w), or None."""
    layers = (canvas or {}).get("layers") or []
    alphas = [np.asarray(layer)[..., 3] for layer in layers if np.asarray(layer).ndim == 3 and layer.shape[2] == 4]
    return np.maximum.reduce(alphas) if alphas else None


def _for_page(sentence: object, path: str) -> str:
    """The sentence with the photo's name in place of the path of its copy."""
    return str(sentence).replace(path, Path(path).name)
