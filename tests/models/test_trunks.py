"""Trunks: their levels, and the weight files that they accept and refuse."""

import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from restorekit.config.dmgn import DmgnOptions
from restorekit.errors import RestorekitError
from restorekit.models.dmgn import DMGN
from restorekit.models.trunks import FROM_CHECKPOINT, BlurPool, PairwiseMax, Trunk, create_trunk


def shapes(trunk: Trunk, size: tuple[int, int]) -> list[tuple[int, ...]]:
    level, found = trunk.normalize(torch.zeros(1, 3, *size)), []
    for stage in trunk.stages():
        level = stage(level)
        found.append(tuple(level.shape[1:]))
    return found


@pytest.mark.parametrize("name", ["vgg19", "vgg16_shift_tolerant"])
def test_a_trunk_gives_five_levels_of_halved_size(name: str) -> None:
    trunk = create_trunk(name)
    assert shapes(trunk, (65, 48)) == [(64, 65, 48), (128, 32, 24), (256, 16, 12), (512, 8, 6), (512, 4, 3)]
    assert not any(parameter.requires_grad for parameter in trunk.parameters())


def test_vgg19_has_the_layout_of_torchvision() -> None:
    keys = [key for key in create_trunk("vgg19").state_dict() if key.endswith("weight")]
    assert keys == [f"features.{index}.weight" for index in (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28)]


@pytest.mark.parametrize("size", [(8, 8), (9, 7), (2, 3)])
@pytest.mark.parametrize("stride", [1, 2])
def test_pairwise_maximum_is_max_pooling(size: tuple[int, int], stride: int) -> None:
    features = torch.randn(2, 3, *size)
    assert torch.equal(PairwiseMax(stride)(features), F.max_pool2d(features, 2, stride))


def test_blur_keeps_a_constant_and_samples_every_second_pixel() -> None:
    assert torch.equal(BlurPool(2)(torch.full((1, 2, 7, 6), 0.5)), torch.full((1, 2, 4, 3), 0.5))
    ramp = torch.arange(9.0).expand(1, 1, 9, 9)
    assert torch.equal(BlurPool(1)(ramp)[0, 0, 2, 1:-1], torch.tensor([2.0, 4.0, 6.0]))


# ---- the package's trunk


def test_packaged_trunk_responds_to_structure() -> None:
    trunk = create_trunk("vgg16_shift_tolerant")
    assert "stlpips_pytorch" not in sys.modules
    checker = (torch.arange(32)[:, None] // 4 + torch.arange(32) // 4) % 2 * 2.0 - 1.0
    flat, busy = torch.zeros(1, 3, 32, 32), checker.expand(1, 3, 32, 32)
    deep_flat, deep_busy = trunk.normalize(flat), trunk.normalize(busy)
    for stage in trunk.stages():
        deep_flat, deep_busy = stage(deep_flat), stage(deep_busy)
    assert deep_busy.isfinite().all()
    assert deep_busy.mean() > 1.5 * deep_flat.mean()


def test_packaged_trunk_is_normalised_as_in_lpips() -> None:
    trunk = create_trunk("vgg16_shift_tolerant")
    white = trunk.normalize(torch.ones(1, 3, 1, 1)).flatten()
    torch.testing.assert_close(white, torch.tensor([1.030 / 0.458, 1.088 / 0.448, 1.188 / 0.450]))
    image = torch.rand(1, 3, 4, 4)
    assert torch.equal(create_trunk("vgg19").normalize(image), image)


def test_a_checkpoints_trunk_reads_no_file() -> None:
    one, other = create_trunk("vgg16_shift_tolerant", FROM_CHECKPOINT), create_trunk("vgg16_shift_tolerant")
    assert not torch.equal(one.features[0].weight, other.features[0].weight)  # type: ignore[arg-type]


# ---- the user's file


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_users_file_is_read(tmp_path: Path, suffix: str) -> None:
    source = create_trunk("vgg19")
    tensors = {**source.state_dict(), "classifier.6.bias": torch.zeros(1000), "features.34.bias": torch.zeros(512)}
    file = tmp_path / f"vgg{suffix}"
    if suffix == ".pth":
        torch.save(tensors, file)
    else:
        save_file(tensors, file)
    model = DMGN(DmgnOptions(variant="rain", width=4, trunk="vgg19", trunk_weights=str(file)))
    found = model.head.trunk.state_dict()  # type: ignore[union-attr]
    assert all(torch.equal(found[key], value) for key, value in source.state_dict().items())


class Executed:
    """An object that creates a file when unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.file,)  # type: ignore[return-value]


def test_files_with_missing_or_misshaped_tensors_are_refused(tmp_path: Path) -> None:
    tensors = create_trunk("vgg19").state_dict()
    few, wrong = tmp_path / "few.pth", tmp_path / "wrong.safetensors"
    torch.save({key: value for key, value in tensors.items() if key != "features.16.weight"}, few)
    save_file({**tensors, "features.28.bias": torch.zeros(3)}, wrong)
    for file, message in ((few, "no 'features.16.weight'"), (wrong, "'features.28.bias' .* \\[3\\] where \\[512\\]")):
        with pytest.raises(RestorekitError, match=message):
            create_trunk("vgg19", str(file))
    with pytest.raises(RestorekitError, match="no 'shift'"):
        create_trunk("vgg16_shift_tolerant", str(few))


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RestorekitError, match="no trunk weights at"):
        create_trunk("vgg19", str(tmp_path / "none.pth"))
    with pytest.raises(RestorekitError, match="no trunk weights at"):
        create_trunk("vgg19", str(tmp_path / "none.safetensors"))
    for name, content in (("a.pth", b"not a checkpoint"), ("b.safetensors", b"\x01"), ("c.pth", b"")):
        file = tmp_path / name
        file.write_bytes(content)
        with pytest.raises(RestorekitError, match="cannot be read"):
            create_trunk("vgg19", str(file))
    listed = tmp_path / "list.pth"
    torch.save([torch.zeros(1)], listed)
    with pytest.raises(RestorekitError, match="hold a list"):
        create_trunk("vgg19", str(listed))


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    file, trace = tmp_path / "bad.pth", tmp_path / "trace"
    torch.save({"features.0.weight": Executed(trace)}, file)
    with pytest.raises(RestorekitError, match="cannot be read"):
        create_trunk("vgg19", str(file))
    assert not trace.exists()


def test_an_unknown_trunk_is_refused() -> None:
    with pytest.raises(RestorekitError, match="did you mean 'vgg19'"):
        create_trunk("vgg91")
