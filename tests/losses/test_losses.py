"""Each loss against its formula written out, and at the ends of its range."""

import pytest
import torch
import torch.nn.functional as F

from restorekit.errors import RestorekitError
from restorekit.losses.adversarial import critic_loss, generator_loss
from restorekit.losses.perceptual import Perceptual
from restorekit.losses.pixel import huber, l1
from restorekit.models.dmgn.discriminator import PatchDiscriminator
from restorekit.models.trunks import create_trunk


def test_l1_is_the_mean_of_differences_in_float32() -> None:
    image, target = torch.randn(2, 3, 5, 7), torch.randn(2, 3, 5, 7)
    torch.testing.assert_close(l1(image, target), F.l1_loss(image, target))
    assert l1(image.bfloat16(), target).dtype == torch.float32
    assert l1(image, image) == 0


@pytest.fixture(scope="module", params=["vgg19", "vgg16_shift_tolerant"])
def perceptual(request: pytest.FixtureRequest) -> Perceptual:
    return Perceptual(create_trunk(request.param))


def test_perceptual_is_zero_for_equal_images_and_grows_with_their_distance(perceptual: Perceptual) -> None:
    image, step = torch.rand(1, 3, 32, 40) * 2 - 1, torch.randn(1, 3, 32, 40)
    assert perceptual(image, image) == 0
    distances = [float(perceptual(image, image + amount * step)) for amount in (0.01, 0.05, 0.2)]
    assert 0 < distances[0] < distances[1] < distances[2]


def test_perceptual_of_vgg19_is_the_formula() -> None:
    trunk = create_trunk("vgg19")
    image, target = torch.rand(2, 1, 3, 24, 24) * 2 - 1
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x, y = (255 * (value - mean.view(3, 1, 1)) / std.view(3, 1, 1) for value in (image, target))
    expected = F.l1_loss(x, y)
    last = 0
    for tap, weight in zip((1, 6, 11, 20, 29), (1 / 2.6, 1 / 4.8, 1 / 3.7, 1 / 5.6, 10 / 1.5), strict=True):
        x, y = (trunk.features[last : tap + 1](value) for value in (x, y))
        expected = expected + weight * F.l1_loss(x, y)
        last = tap + 1
    torch.testing.assert_close(Perceptual(trunk)(image, target), expected)


def test_perceptual_moves_the_image_alone(perceptual: Perceptual) -> None:
    image, target = (torch.rand(2, 1, 3, 24, 24) * 2 - 1).requires_grad_().unbind()
    found = torch.autograd.grad(perceptual(image, target), [image, target], allow_unused=True)
    assert found[0] is not None
    assert found[0].isfinite().all()
    assert found[0].abs().sum() > 0
    assert found[1] is None
    assert all(parameter.grad is None for parameter in perceptual.parameters())


def test_perceptual_in_bfloat16_is_close(perceptual: Perceptual) -> None:
    image, target = torch.rand(2, 1, 3, 32, 32) * 2 - 1
    exact = perceptual(image, target)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = perceptual(image, target)
    assert rounded.dtype == torch.float32
    assert rounded == pytest.approx(float(exact), rel=0.02)


def test_adversarial_losses_are_the_logarithms() -> None:
    clean, restored = torch.randn(2, 3, 1, 4, 4, dtype=torch.float64)
    d_clean, d_restored = torch.sigmoid(clean), torch.sigmoid(restored)
    generator, critic = -(d_restored.log().mean()), -0.5 * (d_clean.log() + (1 - d_restored).log()).mean()
    torch.testing.assert_close(generator_loss(restored), generator.float(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(critic_loss(clean, restored), critic.float(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("logit", [-1e4, -100.0, 100.0, 1e4])
def test_adversarial_losses_are_finite_where_a_logarithm_is_not(logit: float) -> None:
    judged = torch.full((1, 1, 2, 2), logit, requires_grad=True)
    for loss in (generator_loss(judged), critic_loss(judged, judged)):
        assert loss.isfinite()
        gradient = torch.autograd.grad(loss, judged)[0]
        assert gradient.isfinite().all()
    push = torch.autograd.grad(generator_loss(judged), judged)[0].sum()
    assert push == pytest.approx(-1.0 if logit < 0 else 0.0, abs=1e-30)


def test_discriminator() -> None:
    discriminator = PatchDiscriminator()
    assert sum(parameter.numel() for parameter in discriminator.parameters()) == 2_767_809
    with torch.no_grad():
        assert discriminator(*torch.rand(2, 1, 3, 64, 72)).shape == (1, 1, 6, 7)
        assert discriminator(*torch.rand(2, 1, 3, 24, 24)).shape == (1, 1, 1, 1)
    with pytest.raises(RestorekitError, match="24 pixels"):
        discriminator(*torch.rand(2, 1, 3, 23, 64))


def test_huber_has_the_slope_of_l1_for_large_errors_and_follows_the_error_below_delta() -> None:
    target = torch.zeros(3)
    image = torch.tensor([0.05, 0.2, 0.9], requires_grad=True)
    huber(image, target, 0.2).backward()
    torch.testing.assert_close(image.grad, torch.tensor([0.25, 1.0, 1.0]) / 3)
    assert huber(target, target, 0.2) == 0
    torch.testing.assert_close(huber(image, target, 1e-6), l1(image, target), atol=1e-6, rtol=0)
