"""The learning rate is a function of the step alone."""

import math

from restorekit.config import TrainConfig


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """The rate for the update from `step` to `step + 1`, 0 <= step < `steps`, both counted within a phase.

    Linear warm-up, then half a cosine down to zero, a constant, or factors from given shares of the steps on.
    """
    if step < config.warmup_steps:
        return config.lr * (step + 1) / (config.warmup_steps + 1)
    if config.schedule == "cosine":
        progress = (step - config.warmup_steps) / max(1, steps - config.warmup_steps)
        return config.lr * 0.5 * (1.0 + math.cos(math.pi * progress))
    if config.schedule == "milestones":
        factors = [factor for share, factor in sorted(config.milestones) if step >= share * steps]
        return config.lr * (factors[-1] if factors else 1.0)
    return config.lr
