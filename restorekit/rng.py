"""Gives every random draw a named generator, so that order, workers and processes change nothing."""

import hashlib

import numpy as np


def seed_for(seed: int, *names: str | int) -> int:
    """A 64-bit seed that depends on `seed` and on every name, and on nothing else (SHA-256, not Python's hash)."""
    text = "\x1f".join([str(seed), *(f"{type(name).__name__}:{name}" for name in names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def rng_for(seed: int, *names: str | int) -> np.random.Generator:
    """The generator for `names`, e.g. ``rng_for(seed, "rain", key)``; the same names give the same draws."""
    return np.random.default_rng(seed_for(seed, *names))
