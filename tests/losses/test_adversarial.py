"""The adversarial losses equal the logarithms of their formula, even at the ends of the range."""

import pytest
import torch

from restorekit.errors import RestorekitError
from restorekit.losses.adversarial import PatchDiscriminator, critic_loss, generator_loss


def test_adversarial_losses_equal_the_logarithms() -> None:
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


def test_the_discriminators_size_and_smallest_image() -> None:
    discriminator = PatchDiscriminator()
    assert sum(parameter.numel() for parameter in discriminator.parameters()) == 2_767_809
    with torch.no_grad():
        assert discriminator(*torch.rand(2, 1, 3, 64, 72)).shape == (1, 1, 6, 7)
        assert discriminator(*torch.rand(2, 1, 3, 24, 24)).shape == (1, 1, 1, 1)
    with pytest.raises(RestorekitError, match="24 pixels"):
        discriminator(*torch.rand(2, 1, 3, 23, 64))
