"""The tiny trainings of tests/training."""

from tests.training.conftest import make_job

__all__ = ["make_job"]
