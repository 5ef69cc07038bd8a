"""Neither code nor weights are fetched at run time: all comes from the installed packages and the user's files."""

import ast
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from restorekit.degradations import DEGRADATIONS, Scene
from restorekit.inference import Restorer
from restorekit.models import create_model
from restorekit.models.trunks import create_trunk
from restorekit.rng import rng_for
from restorekit.tasks import MODELS
from tests.shipped import ROOT

# Modules that open connections, and where restorekit may import them.
NETWORK = {"socket", "urllib", "http", "requests", "httpx", "aiohttp", "ftplib", "huggingface_hub", "boto3", "paramiko"}
ALLOWED = {
    ("restorekit/files.py", "socket"): "the machine's name in names of unfinished files",
    ("restorekit/cluster.py", "socket"): "whether the head node of the user's cluster answers",
    ("pipelines/cluster/two_nodes.py", "socket"): "a free port on this machine",
}
FETCHING = ("hub", "load_state_dict_from_url", "download_url_to_file", "urlopen", "urlretrieve", "hf_hub_download")

_seen: list[str] | None = None


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if _seen is not None and event in ("socket.connect", "socket.getaddrinfo", "urllib.Request", "subprocess.Popen"):
        _seen.append(f"{event} {arguments}")


sys.addaudithook(_hook)  # a hook stays for the life of the process, and notes nothing outside `noted`


@contextmanager
def noted() -> Iterator[list[str]]:
    """The connections that Python code opens meanwhile, and the programs that it starts."""
    global _seen
    _seen = []
    try:
        yield _seen
    finally:
        _seen = None


def test_the_hook_notes_a_connection() -> None:
    import socket

    with noted() as seen, socket.socket() as one, pytest.raises(OSError):
        one.connect(("127.0.0.1", 9))
    assert len(seen) == 1


def test_the_library_fetches_neither_code_nor_weights() -> None:
    """Every network, with the trunk that has weights, every degradation and a restored image."""
    with noted() as seen:
        create_trunk("vgg16_shift_tolerant")
        for name in MODELS:
            with torch.device("meta"):
                create_model(name)
        image = rng_for(0, "offline").random((64, 64, 3), dtype=np.float32)
        for name, degradation in DEGRADATIONS.items():
            scene = Scene(image, other=image[::-1].copy() if degradation.needs_other else None)
            degradation.apply(scene, degradation.sample(rng_for(0, name), (64, 64), 0.5, "mixed"))
        Restorer(create_model("dmgn", variant="rain", width=2, trunk="none"), "cpu").restore(image)
    assert seen == []


def modules() -> list[Path]:
    return [file for top in ("restorekit", "pipelines") for file in sorted((ROOT / top).rglob("*.py"))]


def test_no_module_imports_what_fetches() -> None:
    found = set()
    for file in modules():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            for name in names:
                if name.partition(".")[0] in NETWORK and name != "urllib.parse":
                    found.add((file.relative_to(ROOT).as_posix(), name.partition(".")[0]))
            if isinstance(node, ast.Attribute):
                assert node.attr not in FETCHING, f"{file}: {ast.unparse(node)}"
    assert found <= set(ALLOWED), sorted(found - set(ALLOWED))
