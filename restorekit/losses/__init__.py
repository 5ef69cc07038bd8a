"""Losses on tensors: pixel, perceptual and adversarial; each is a float32 scalar for inputs of any precision."""
