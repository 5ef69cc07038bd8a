"""Networks that can stream an image do so within the free memory, if the whole does not fit."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from restorekit.cli import main
from restorekit.errors import RestorekitError
from restorekit.evaluation.results import Facts
from restorekit.evaluation.scoring import restoring
from restorekit.evaluation.test_sets import Pair
from restorekit.image import encode_rgb, read_image
from restorekit.inference import Restorer, restorer
from restorekit.models import create_model
from restorekit.models.checkpoint import save_model
from restorekit.models.descriptor import Descriptor
from restorekit.models.glsgn import streaming
from restorekit.rng import rng_for

SIZE = (160, 200)
PIXELS = SIZE[0] * SIZE[1]


class Streams(nn.Module):
    """Halves its input; takes 1000 bytes a pixel whole and 200 streamed."""

    def __init__(self, room: int | None = None) -> None:
        super().__init__()
        self.descriptor = Descriptor("streams", ("rain",), False, 64, 1, "approximate", 8, 1000, streams=True)
        self.weight = nn.Parameter(torch.full((), 0.5))
        self.memory: list[int | None] = []
        self.whole: list[int] = []
        self.room = room

    def restore(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        self.whole.append(image.shape[2] * image.shape[3])
        if self.room is not None and self.whole[-1] > self.room:
            raise torch.OutOfMemoryError("out of memory")
        return image * self.weight

    def streamed_bytes(self, height: int, width: int) -> int:
        return 200 * height * width

    def restore_streamed(self, image: Tensor, memory_bytes: int | None = None) -> Tensor:
        self.memory.append(memory_bytes)
        return image * self.weight


def image(*size: int) -> np.ndarray:
    return rng_for(0, "image", *size).random((*size, 3)).astype(np.float32)


def test_whole_then_streamed_then_tiles_as_memory_shrinks():
    around = 12 + 24  # bytes a pixel of the image and its copies
    for per_pixel, form in ((1000 + around, "whole"), (999 + around, "streamed"), (200 + around, "streamed")):
        model = Streams()
        Restorer(model, memory_bytes=per_pixel * PIXELS).restore(image(*SIZE))
        assert (len(model.whole), len(model.memory)) == ((1, 0) if form == "whole" else (0, 1))
        if form == "streamed":
            assert model.memory == [(per_pixel - around) * PIXELS]
    model = Streams()
    Restorer(model, memory_bytes=(199 + around) * PIXELS).restore(image(*SIZE))
    assert len(model.whole) > 1
    assert model.memory == []


def test_a_users_tile_is_kept():
    model = Streams()
    Restorer(model, memory_bytes=300 * PIXELS, tile=96).restore(image(*SIZE))
    assert max(model.whole) == 96 * 96
    assert model.memory == []


def test_running_out_of_gpu_memory_leads_to_streaming_before_tiles():
    model = Streams(room=PIXELS // 2)
    restored = Restorer(model).restore(image(*SIZE))
    assert model.whole == [PIXELS]
    assert len(model.memory) == 1
    assert np.allclose(restored, image(*SIZE) * 0.5)


def test_scoring_streams_an_image_that_does_not_fit(monkeypatch):
    model = Streams()
    pixels = (image(*SIZE) * 255).astype(np.uint8)
    monkeypatch.setattr(restorer, "default_budget", lambda device: 300 * PIXELS)
    restoring(model, "fp32")(Pair(Facts("a", "a"), pixels, pixels))
    assert len(model.memory) == 1
    monkeypatch.setattr(restorer, "default_budget", lambda device: 200 * PIXELS)
    with pytest.raises(RestorekitError, match="do not go through the network whole"):
        restoring(model, "fp32")(Pair(Facts("a", "a"), pixels, pixels))


@pytest.mark.parametrize("size", [(135, 241), (64, 300)])
def test_glsgn_streamed_by_the_restorer_equals_glsgn(size, monkeypatch):
    torch.manual_seed(0)
    model = create_model("glsgn", width=4)
    whole = Restorer(model).restore(image(*size))
    pixels = size[0] * size[1]
    monkeypatch.setattr(streaming, "STRIP_PIXELS", 1024)  # otherwise strips take more than so small a frame
    budget = model.streamed_bytes(*size) + 40 * pixels  # type: ignore[operator]
    layout = Restorer(model, memory_bytes=budget).layout(*size)
    assert layout.streamed
    assert np.abs(Restorer(model, memory_bytes=budget).restore(image(*size)) - whole).max() < 1e-4


def test_a_photo_below_the_networks_minimum_is_padded():
    restored = Restorer(create_model("glsgn", width=4)).restore(image(20, 31))
    assert restored.shape == (20, 31, 3)


def test_the_command_line_takes_a_glsgn_folder(tmp_path: Path, monkeypatch) -> None:
    torch.manual_seed(0)
    save_model(tmp_path / "model", create_model("glsgn", width=4, zero_last=True), {"run": "glsgn-rain", "seed": 0})
    pixels = (image(70, 90) * 255).astype(np.uint8)
    (tmp_path / "photo.png").write_bytes(encode_rgb(pixels, "png"))
    typed = ["restorekit", "restore", str(tmp_path / "photo.png"), "--model", str(tmp_path / "model"), "--memory", "1"]
    monkeypatch.setattr("sys.argv", typed)
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    restored = read_image(tmp_path / "photo.restored.png").pixels.astype(np.int16)
    assert np.abs(restored - pixels).max() <= 3  # every path returns its input; the masks are not exactly 0, 1 and 1
