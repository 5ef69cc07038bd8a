"""Losses on tensors: pixel, perceptual and adversarial; each is a float32 scalar, whatever its input's precision."""
