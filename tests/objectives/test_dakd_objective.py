"""DAKD's objective: the loss terms of both phases, and the parameters that learn or stay frozen in each phase."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from restorekit.config import DakdRun, read_run
from restorekit.config.dakd import DakdOptions
from restorekit.models.dakd import DAKD
from restorekit.objectives import create_objective
from restorekit.objectives.dakd import LOCALISE, RESTORE, DakdLosses


def objective(**settings: Any) -> DakdLosses:
    run = {"model": "dakd", "dataset": "rain", "options": {}, "objective": {"localise_steps": 10, **settings}}
    return DakdLosses(DakdRun.model_validate(run))


def batch(size: int = 24) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(7)
    clean = 0.5 * torch.rand(2, 3, size, size, generator=generator)
    drops = (torch.rand(2, 1, size, size, generator=generator) < 0.2).float() * 0.4
    return {"degraded": clean + drops, "clean": clean}


def in_phase(made: DakdLosses, phase: int) -> DakdLosses:
    made.enter(phase, DAKD(DakdOptions(width=1)))
    return made


class Counted(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.calls = inner, 0

    def forward(self, *args: Any, **options: Any) -> Any:
        self.calls += 1
        return self.inner(*args, **options)


@pytest.mark.parametrize(
    "phase, settings, names",
    [
        (LOCALISE, {}, {"cross_entropy", "dice"}),
        (RESTORE, {}, {"pixel", "distillation"}),
        (RESTORE, {"distillation": 0.0}, {"pixel"}),
    ],
)
def test_terms_of_each_phase(phase: int, settings: dict[str, Any], names: set[str]) -> None:
    made, model = in_phase(objective(**settings), phase), Counted(DAKD(DakdOptions(width=4)))
    terms = made(model, batch())
    assert model.calls == 1
    assert set(terms.losses) == names
    assert all(value.dtype == torch.float32 and value.isfinite() for value in terms.losses.values())
    assert terms.restored.shape == (2, 3, 24, 24)
    assert not terms.restored.requires_grad
    assert 0 <= terms.restored.min() <= terms.restored.max() <= 1


def test_each_phase_gives_gradients_only_to_its_network() -> None:
    made, model = objective(), DAKD(DakdOptions(width=4))
    assert [phase.trains for phase in made.phases] == [("teacher.",), ("student.",)]
    assert (made.phases[0].steps, made.phases[0].watch, made.phases[1].watch) == (10, "mask_f1", None)
    for index, (learns, stands) in enumerate([(model.teacher, model.student), (model.student, model.teacher)]):
        model.zero_grad(set_to_none=True)
        torch.stack(list(in_phase(made, index)(model, batch()).losses.values())).sum().backward()
        assert all(parameter.grad is not None for parameter in learns.parameters())
        assert all(parameter.grad is None for parameter in stands.parameters())


@pytest.mark.parametrize("phase, warm", [(LOCALISE, True), (RESTORE, False), (RESTORE, True)])
def test_a_warm_start_copies_the_encoder_at_the_start_of_restoring(phase: int, warm: bool) -> None:
    model = DAKD(DakdOptions(width=4))
    objective(warm_start=warm).enter(phase, model)
    pairs = zip(model.student.encoder.parameters(), model.teacher.encoder.parameters(), strict=True)
    assert all(torch.equal(own, taught) for own, taught in pairs) is (phase == RESTORE and warm)


@pytest.mark.parametrize("mask_input", [False, True])
def test_a_warm_student_has_the_features_of_the_teacher(mask_input: bool) -> None:
    torch.manual_seed(1)
    model, image = DAKD(DakdOptions(width=8, init="he", mask_input=mask_input)), torch.rand(1, 3, 16, 16)
    rest = {name: values.clone() for name, values in model.student.state_dict().items() if "encoder" not in name}
    assert not torch.equal(model(image).student[0], model(image).teacher.encoder[0])
    objective(warm_start=True).enter(RESTORE, model)
    seen = model(image, mask=torch.zeros(1, 1, 16, 16))
    for own, taught in zip(seen.student, seen.teacher.encoder, strict=True):
        torch.testing.assert_close(own, taught)
    assert all(torch.equal(values, model.student.state_dict()[name]) for name, values in rest.items())
    if mask_input:
        assert not torch.equal(model(image, mask=torch.ones(1, 1, 16, 16)).student[0], seen.student[0])


def test_distillation_gives_gradients_only_to_the_students_encoder() -> None:
    model = DAKD(DakdOptions(width=4, init="he"))
    in_phase(objective(), RESTORE)(model, batch()).losses["distillation"].backward()
    for name, parameter in model.student.named_parameters():
        if name.startswith("encoder."):
            assert parameter.grad.abs().sum() > 0, name
        else:
            assert parameter.grad is None, name
    assert all(parameter.grad is None for parameter in model.teacher.parameters())


def test_restoring_does_not_change_a_bit_of_the_teacher() -> None:
    model, made = DAKD(DakdOptions(width=4, init="he")), in_phase(objective(), RESTORE)
    before = {name: value.clone() for name, value in model.teacher.state_dict().items()}
    optimizer = torch.optim.Adam(model.student.parameters(), lr=1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        torch.stack(list(made(model, batch()).losses.values())).sum().backward()
        optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in model.teacher.state_dict().items())


def test_attention_and_weights_change_the_loss() -> None:
    model, data = DAKD(DakdOptions(width=4, init="he")), batch()
    plain, attentive, double = (
        float(in_phase(objective(**settings), RESTORE)(model, data).losses["distillation"])
        for settings in ({"attentive": False}, {}, {"distillation": 0.2})
    )
    assert plain != pytest.approx(attentive, rel=1e-3)
    assert double == pytest.approx(2 * attentive, rel=1e-5)


def test_figures_are_f1_and_iou_of_the_mask() -> None:
    made, model = objective(), DAKD(DakdOptions(width=4))
    one = {name: images[:1] for name, images in batch().items()}
    figures = made.figures(model, one)
    assert tuple(figures) == made.figure_names
    nn.init.zeros_(model.teacher.decoder.last.weight)
    nn.init.constant_(model.teacher.decoder.last.bias, 5.0)  # type: ignore[arg-type]
    share = float(((one["degraded"] - one["clean"]) > 0.1).float().amax(dim=1).mean())
    white = made.figures(model, one)
    assert white["mask_iou"] == pytest.approx(share, rel=1e-5)
    assert white["mask_f1"] == pytest.approx(2 * share / (1 + share), rel=1e-5)


def test_the_objective_takes_tau_from_the_models_options() -> None:
    run = read_run({"model": "dakd", "dataset": "haze", "options": {"tau": 0.3}, "objective": {"localise_steps": 5}})
    assert isinstance(run, DakdRun)
    made = create_objective(run)
    assert isinstance(made, DakdLosses)
    assert made.tau == 0.3


@pytest.mark.parametrize("pixel", ["huber", "psnr"])
def test_both_phases_overfit_one_pair(pixel: str) -> None:
    data, made = batch(32), objective(pixel=pixel, distillation=0.01)
    torch.manual_seed(0)
    model = DAKD(DakdOptions(width=6, init="he", zero_last=True))
    for index, part in enumerate((model.teacher, model.student)):
        made.enter(index, model)
        optimizer = torch.optim.Adam(part.parameters(), lr=5e-3)
        for _ in range(60):
            optimizer.zero_grad()
            terms = made(model, data)
            torch.stack(list(terms.losses.values())).sum().backward()
            nn.utils.clip_grad_norm_(part.parameters(), 1.0)
            optimizer.step()
    assert made.figures(model, {name: images[:1] for name, images in data.items()})["mask_f1"] > 0.9

    def psnr(image: Tensor) -> float:
        return float(-10 * torch.log10((image - data["clean"]).square().mean()))

    assert psnr(terms.restored) > psnr(data["degraded"]) + 5
