"""Random keys for PyTorch runs, and seeds split by purpose; NumPy only.

A key is an int32 array of shape (2,), as in AlgoPerf. JAX runs use `jax.random` keys instead (see
`algoperf.backends.jax_backend`). Functions are pure: the same arguments give the same keys.
"""

import random

import numpy as np

_LIMIT = 2**31 - 1

SEED_PURPOSES = ("data", "init", "submission", "evaluation")


def PRNGKey(seed: int) -> np.ndarray:  # noqa: N802 - as in jax.random
    """The key of an integer seed."""
    return split(np.array([seed % _LIMIT, seed // _LIMIT % _LIMIT], np.int32))[0]


def split(key: np.ndarray, num: int = 2) -> np.ndarray:
    """(num, 2) int32 keys, drawn from the generator that `key` seeds."""
    generator = np.random.RandomState([int(item) % _LIMIT for item in key])
    return generator.randint(0, _LIMIT, size=(num, 2), dtype=np.int32)


def fold_in(key: np.ndarray, data: int) -> np.ndarray:
    """A key of shape (2,) that depends on `key` and the integer `data`."""
    generator = np.random.RandomState([int(item) % _LIMIT for item in key])
    return np.array([generator.randint(0, _LIMIT, dtype=np.int32), data % _LIMIT], np.int32)


def seeds(rng_seed: int, study: int, trial: int) -> dict[str, int]:
    """Independent 32-bit seeds for one trial: purpose -> seed.

    A change of one purpose's use of randomness leaves the others alone, and every trial of every study has
    its own.

    Raises:
      ValueError: if `rng_seed`, `study` or `trial` is negative.
    """
    found = {}
    for index, purpose in enumerate(SEED_PURPOSES):
        sequence = np.random.SeedSequence(rng_seed, spawn_key=(study, trial, index))
        found[purpose] = int(sequence.generate_state(1)[0] >> 1)  # 31 bits: valid for every library.
    return found


def seed_global_generators(seed: int) -> None:
    """Seeds the generators of Python and NumPy that submissions may draw from without saying so."""
    random.seed(seed)
    np.random.seed(seed)
