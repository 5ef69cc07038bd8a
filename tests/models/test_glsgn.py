"""GLSGN against glsgn.md section 12: shapes, counts, patches, gates, links and sizes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from restorekit.errors import RestorekitError
from restorekit.models import create_model
from restorekit.models.glsgn import GLSGN
from restorekit.models.glsgn.grid import Grid
from restorekit.models.glsgn.pyramid import Fusion, scales

SIZES = [(64, 64), (65, 71), (270, 478), (272, 480)]
FORMS: list[dict[str, Any]] = [
    {}, {"global_path": False}, {"feature_links": False}, {"attention_links": False}, {"patch_norm": "instance"},
    {"patch_norm": "none"}, {"fusion": "finest"}, {"recompute": True}, {"design": "whole"}, {"design": "tiles"},
    {"design": "reduced"}, {"design": "reduced_detail"}, {"overlap": 8},
]  # fmt: skip


def build(**options: Any) -> GLSGN:
    torch.manual_seed(0)
    model = create_model("glsgn", **{"width": 4, **options})
    assert isinstance(model, GLSGN)
    return model


def frame(*size: int, batch: int = 1) -> Tensor:
    return torch.rand(batch, 3, *size, generator=torch.Generator().manual_seed(1))


def images(model: GLSGN, image: Tensor) -> dict[str, Tensor]:
    with torch.no_grad():
        found = model(image)
    assert found.reduced is not None
    return {"out": found.restored, "g": found.reduced, **{str(k + 1): one for k, one in enumerate(found.paths)}}


def shapes_at(size: tuple[int, int]) -> tuple[dict[str, list[tuple[int, ...]]], Any, float]:
    """The output shapes of each module, the result, and the multiply-adds, from a run on shapes alone."""
    with torch.device("meta"):
        model = create_model("glsgn")
        seen: dict[str, list[tuple[int, ...]]] = {}
        macs = 0.0

        def note(name: str) -> Callable[..., None]:
            def hook(module: nn.Module, given: Any, made: Any) -> None:
                nonlocal macs
                seen.setdefault(name, []).append(tuple((made[-1] if isinstance(made, tuple) else made).shape))
                if isinstance(module, nn.ConvTranspose2d):
                    macs += given[0].numel() * module.out_channels * 16
                elif isinstance(module, nn.Conv2d):
                    macs += made.numel() * module.in_channels * module.kernel_size[0] * module.kernel_size[1]

            return hook

        for name, module in model.named_modules():
            if name and not isinstance(module, nn.ModuleList):
                module.register_forward_hook(note(name))
        result = model(torch.empty(1, 3, *size))
    return seen, result, macs


def test_shapes_at_4k_match_every_arrow_of_the_figure():
    seen, result, macs = shapes_at((2160, 3840))
    assert result.restored.shape == result.paths[0].shape == (1, 3, 2160, 3840)
    assert result.paths[1].shape == (1, 3, 1080, 1920)
    assert result.paths[2].shape == result.reduced.shape == (1, 3, 540, 960)
    encoded = [seen[f"local.{path}.encoder"] for path in range(3)]
    assert encoded == [[(16, 128, 135, 240)], [(4, 128, 135, 240)], [(2, 128, 68, 240)]]  # 544 rows in two patches
    decoded = [seen[f"local.{path}.decoder"] for path in range(3)]
    assert decoded == [[(4, 32, 1080, 1920)], [(2, 32, 540, 1920)], [(1, 32, 544, 960)]]
    assert seen["coarse.encoder"] == [(1, 128, 135, 240)]
    assert [gate.shape[-2:] for gate in result.gates] == [(540, 960), (540, 960), (270, 480), (135, 240)]
    assert seen["feature_links.0"] == [(1, 32, 1080, 1920)]
    assert seen["feature_links.1"] == [(1, 32, 540, 960)]
    assert macs == pytest.approx(3.00e12, rel=0.01)


def test_parameter_counts_match_section_6():
    model = create_model("glsgn")
    assert count(model) == 7_500_271
    for path in (*model.local, model.coarse):  # type: ignore[union-attr]
        convolutions = count(path.encoder) + count(path.decoder.stages) + count(path.last)  # type: ignore[arg-type]
        assert convolutions == 868_288 + 939_843
    assert [count(path.decoder.norms) for path in model.local] == [448] * 3  # type: ignore[union-attr,arg-type]
    assert [count(path.attention) for path in model.local] == [127] * 3  # type: ignore[union-attr,arg-type]
    assert (count(model.coarse.extra), count(model.coarse.attention)) == (18_496, 99)  # type: ignore[union-attr,arg-type]
    assert [count(link) for link in model.global_links] == [1056] * 3  # type: ignore[union-attr]
    assert [count(link) for link in model.feature_links] == [9248] * 2  # type: ignore[union-attr]
    assert count(model.fusion) == 225_763  # type: ignore[arg-type]


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("size", SIZES)
def test_the_output_has_the_size_of_the_input(size):
    result = build()(frame(*size))
    half, quarter = (-(-size[0] // 2), -(-size[1] // 2)), (-(-size[0] // 4), -(-size[1] // 4))
    assert result.restored.shape[2:] == result.paths[0].shape[2:] == size
    assert result.paths[1].shape[2:] == half
    assert result.paths[2].shape[2:] == result.reduced.shape[2:] == quarter
    assert torch.isfinite(result.restored).all()


def test_a_frame_below_the_minimum_size_is_refused():
    for size in ((63, 200), (200, 63)):
        with pytest.raises(RestorekitError, match="64 or more"):
            build()(frame(*size))


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_every_form_gives_a_gradient_to_every_parameter(form):
    model = build(**form)
    result = model(frame(65, 71, batch=2))
    assert result.restored.shape == (2, 3, 65, 71)
    terms = [result.restored, *result.paths, *([] if result.reduced is None else [result.reduced])]
    torch.stack([one.square().mean() for one in terms]).sum().backward()
    lacking = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert lacking == []


@pytest.mark.parametrize(
    "options, message",
    [
        ({"path1_grid": "4x4"}, "unknown option of glsgn 'path1_grid'"),
        ({"design": "steps"}, "did you mean 'stepwise'"),
        ({"width": 0}, "glsgn's width: .*greater than or equal to 1"),
        ({"design": "tiles", "patch_norm": "none"}, "changes nothing with design tiles"),
        (
            {"design": "whole", "overlap": 8, "patch_norm": "none"},
            "patch_norm, overlap changes nothing",
        ),
        ({"overlap": 6}, "multiple of 4"),
        ({"overlap": 8, "design": "tiles"}, "overlap changes nothing with design tiles"),
        ({"overlap": 8, "patch_norm": "instance"}, "needs regions"),
    ],
)
def test_invalid_options_are_refused(options, message):
    with pytest.raises(RestorekitError, match=message):
        build(**options)


def test_a_pixel_reaches_the_encoding_of_its_own_patch_only():
    model = build().double()
    path = model.local[0]
    given = frame(256, 384).double()
    links = [torch.randn(1, 4, 64, 96, dtype=torch.float64)]
    seen: list[Tensor] = []
    path.encoder.register_forward_hook(lambda module, given, made: seen.append(made))
    changed = given.clone()
    changed[0, :, 100, 200] += 1  # row 1 of patches of 64, column 2 of patches of 96
    for image in (given, changed):
        path(image, links, (None, None), lambda function, *args: function(*args))
    differs = (seen[0] - seen[1]).abs().amax((1, 2, 3)) > 0
    assert differs.nonzero().flatten().tolist() == [1 * 4 + 2]


def test_the_grid_leaves_no_trace_with_centre_taps_alone():
    model = build(width=3).double()
    for module in model.modules():
        if isinstance(module, nn.ConvTranspose2d):
            keep_centre(module.weight, 1, 3)
        elif isinstance(module, nn.Conv2d) and module.kernel_size[0] > 1:
            middle = module.kernel_size[0] // 2
            keep_centre(module.weight, middle, middle + 1)
    gridded = images(model, frame(256, 384).double())
    for path in model.local:
        path.grid = Grid(1, 1, (1, 1))
    whole = images(model, frame(256, 384).double())
    assert all((gridded[name] - whole[name]).abs().max() < 1e-10 for name in gridded)
    assert whole["out"].std() > 0.01


def differs_from_whole(overlap: int) -> float:
    """The mean difference between the network's images and those of a run with patches as large as the frame."""
    model = build(overlap=overlap).double()
    gridded = images(model, frame(256, 384).double())
    for path in model.local:
        path.grid = Grid(1, 1, (1, 1), overlap)
    whole = images(model, frame(256, 384).double())
    return max(float((gridded[name] - whole[name]).abs().mean()) for name in gridded)


def test_the_grid_leaves_no_trace_with_an_overlap_as_large_as_the_encoders_context():
    at_8 = differs_from_whole(8)
    assert differs_from_whole(48) < 1e-15 < 0.2 * at_8
    assert at_8 < 0.2 * differs_from_whole(0)


@torch.no_grad()
def keep_centre(weight: Tensor, first: int, last: int) -> None:
    kept = weight[..., first:last, first:last].clone()
    weight.zero_()
    weight[..., first:last, first:last] = kept


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_constant_frames_give_finite_images_and_gates_between_0_and_1(value):
    result = build()(torch.full((1, 3, 64, 96), value))
    assert torch.isfinite(result.restored).all()
    for gate in result.gates:
        assert gate.min() > 0
        assert gate.max() < 1


def test_with_zero_last_every_path_returns_its_input():
    model = build(zero_last=True)
    assert isinstance(model.fusion, Fusion)
    for module, bias in ((model.fusion.last, 0.0), (model.fusion.hand2.last, 1.0), (model.fusion.hand1.last, 1.0)):
        nn.init.zeros_(module.weight)
        assert torch.equal(module.bias, torch.tensor([bias]))  # type: ignore[arg-type]
    image = frame(135, 241)
    found, given = images(model, image), scales(image)
    assert all(torch.equal(found[str(k + 1)], given[k]) for k in range(3))
    assert torch.equal(found["g"], given[2])
    assert (found["out"] - image).abs().max() < 1e-6


DOWNSTREAM = {
    "F_g": {"1", "2", "3", "out"},
    "A_g": {"1", "2", "3", "out"},
    "F_1": {"2", "3", "out"},
    "A_1": {"2", "3", "out"},
    "F_2": {"3", "out"},
    "A_2": {"3", "out"},
}


@pytest.mark.parametrize("link", DOWNSTREAM)
def test_a_removed_link_changes_only_the_outputs_downstream(link):
    model = build()
    before = images(model, frame(96, 128))
    with torch.no_grad():
        if link == "F_g":
            for conv in model.global_links:
                conv.weight.zero_()
        elif link.startswith("F"):
            model.feature_links[int(link[-1]) - 1].weight.zero_()
        else:
            paths, channel = (model.local, 1) if link == "A_g" else ([model.local[int(link[-1])]], 2)
            for path in paths:
                path.attention.mix.weight[:, channel].zero_()
    after = images(model, frame(96, 128))
    assert {name for name in before if not torch.equal(before[name], after[name])} == DOWNSTREAM[link]


def test_every_parameter_but_biases_before_a_norm_gets_a_gradient():
    model = build().double()
    result = model(frame(64, 96).double())
    torch.stack([one.square().mean() for one in (result.restored, *result.paths, result.reduced)]).sum().backward()
    largest = {name: parameter.grad.abs().max().item() for name, parameter in model.named_parameters()}
    still = {name for name, value in largest.items() if value < 1e-12}
    assert still == {
        f"local.{path}.decoder.stages.{stage}.blocks.1.second.bias" for path in range(3) for stage in range(3)
    }


def test_images_of_a_batch_are_independent_and_a_seed_gives_one_network():
    model, pair = build(), frame(65, 71, batch=2)
    both = model(pair).restored
    alone = torch.cat([model(one).restored for one in pair.split(1)])
    assert (both - alone).abs().max() < 1e-5
    assert torch.equal(build()(pair).restored, both)


def test_recomputed_activations_give_the_same_gradients():
    kept, again = build(), build(recompute=True)
    for model in (kept, again):
        model(frame(64, 96)).restored.square().mean().backward()
    for one, other in zip(kept.parameters(), again.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None)
        assert one.grad is None or torch.allclose(one.grad, other.grad, atol=1e-7, rtol=1e-4)  # type: ignore[arg-type]


def test_recomputing_stores_a_fraction_of_the_activations(peak_bytes):
    def step(model: GLSGN) -> None:
        model(frame(128, 192)).restored.mean().backward()

    peaks = []
    for recompute in (False, True):
        model = build(recompute=recompute)
        peaks.append(peak_bytes(lambda model=model: step(model), list(model.parameters())))
    assert peaks[1] < 0.6 * peaks[0]


def test_restore_clamps_and_keeps_no_gradient():
    model = build()
    restored = model.restore(frame(65, 71) * 2 - 0.5)
    assert not restored.requires_grad
    assert restored.shape == (1, 3, 65, 71)
    assert restored.min() >= 0
    assert restored.max() <= 1


def test_paths_run_from_the_finest_to_the_coarsest():
    model, seen = build(), []
    for number, path in enumerate(model.local):
        path.encoder.register_forward_hook(lambda *_, number=number: seen.append(number))
    model(frame(64, 96))
    assert seen == [0, 1, 2]


def test_reduced_loses_detail_and_reduced_detail_keeps_it():
    image = frame(128, 192)
    for design, kept in (("reduced", False), ("reduced_detail", True)):
        restored = build(design=design, zero_last=True)(image).restored
        assert torch.allclose(restored, image, atol=1e-6) == kept
