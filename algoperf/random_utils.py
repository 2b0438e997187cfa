"""Random keys of the steps of a run, in either framework, and seeds split by purpose; NumPy only.

`PRNGKey`, `split` and `fold_in` make the keys of PyTorch runs: int32 arrays of shape (2,), as in AlgoPerf. Those of
JAX runs are the keys of `jax.random`; `jax_step_keys` computes them without JAX. All but `seed_global_generators` are
pure: the same arguments give the same keys.
"""

import random
from collections.abc import Callable

import numpy as np

_LIMIT = 2**31 - 1

SEED_PURPOSES = ("data", "init", "submission", "evaluation")


def PRNGKey(seed: int) -> np.ndarray:  # noqa: N802 - as in jax.random
    """The key of an integer seed."""
    # Split once, so that neighbouring seeds do not give neighbouring keys.
    return split(np.array([seed % _LIMIT, seed // _LIMIT % _LIMIT], np.int32))[0]


def split(key: np.ndarray, num: int = 2) -> np.ndarray:
    """(num, 2) int32 keys, drawn from the generator that `key` seeds."""
    generator = np.random.RandomState([int(item) % _LIMIT for item in key])
    return generator.randint(0, _LIMIT, size=(num, 2), dtype=np.int32)


def fold_in(key: np.ndarray, data: int) -> np.ndarray:
    """A key of shape (2,) that depends on `key` and the integer `data`."""
    generator = np.random.RandomState([int(item) % _LIMIT for item in key])
    return np.array([generator.randint(0, _LIMIT, dtype=np.int32), data % _LIMIT], np.int32)


KEY_BLOCK = 4096  # Steps whose keys are drawn at once: an eager split each step would cost 0.1 ms in JAX.
Words = np.ndarray | np.uint32
StepKeys = Callable[[int], tuple[np.ndarray, np.ndarray, np.ndarray]]
"""global_step -> keys for data selection, update and prepare_for_eval, each an array of shape (2,)."""


def pytorch_step_keys(seed: int) -> StepKeys:
    """int32 keys of the steps of a PyTorch run; those of a step depend on `seed` and the step alone."""

    def draw(number: int) -> np.ndarray:
        return np.random.default_rng([seed, number]).integers(
            0, _LIMIT, size=(KEY_BLOCK, 3, 2), dtype=np.int32
        )

    return _in_blocks(draw)


def jax_step_keys(seed: int) -> StepKeys:
    """uint32 keys of the steps of a JAX run: `split(fold_in(PRNGKey(seed), step), 4)` of `jax.random`, as in AlgoPerf.

    Computed here because a JAX call would wait for the training steps that are queued on the same device.
    """
    root = (np.uint32(seed >> 32), np.uint32(seed & 0xFFFFFFFF))

    def draw(number: int) -> np.ndarray:
        steps = np.arange(number * KEY_BLOCK, (number + 1) * KEY_BLOCK, dtype=np.uint32)
        folded = threefry2x32(root, (np.zeros_like(steps), steps))
        purposes = np.arange(3, dtype=np.uint32)  # The fourth key, for evaluation, is not handed out.
        keys = threefry2x32((folded[0][:, None], folded[1][:, None]), (np.zeros_like(purposes), purposes))
        return np.stack(keys, axis=-1)

    return _in_blocks(draw)


def _in_blocks(draw: Callable[[int], np.ndarray]) -> StepKeys:
    blocks: dict[int, np.ndarray] = {}

    def keys(global_step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        number, offset = divmod(global_step, KEY_BLOCK)
        block = blocks.get(number)
        if block is None:
            blocks.clear()  # Steps only go up: an old block would never be asked for again.
            blocks[number] = block = draw(number)
        row = block[offset]
        return row[0], row[1], row[2]

    return keys


def threefry2x32(
    key: tuple[Words, Words], counts: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Two words of random bits for each pair of counts; all arguments are uint32 and broadcast.

    Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", the 20-round variant.
    """
    rotations = ((13, 15, 26, 6), (17, 29, 16, 24))
    with np.errstate(over="ignore"):  # Arithmetic is modulo 2**32.
        schedule = (key[0], key[1], key[0] ^ key[1] ^ np.uint32(0x1BD11BDA))
        x, y = counts[0] + schedule[0], counts[1] + schedule[1]
        for group in range(5):
            for rotation in rotations[group % 2]:
                x = x + y
                y = (y << np.uint32(rotation)) | (y >> np.uint32(32 - rotation))
                y = y ^ x
            x = x + schedule[(group + 1) % 3]
            y = y + schedule[(group + 2) % 3] + np.uint32(group + 1)
    return x, y


def seeds(rng_seed: int, study: int, trial: int) -> dict[str, int]:
    """Independent 32-bit seeds for one trial: purpose -> seed.

    A change of one purpose's use of randomness leaves the others alone, and every trial of every study has
    its own.

    Raises:
      ValueError: if `rng_seed`, `study` or `trial` is negative.
    """
    found = {}
    for index, purpose in enumerate(SEED_PURPOSES):
        # By spawn key, not by seed + trial: such sums of different studies would coincide.
        sequence = np.random.SeedSequence(rng_seed, spawn_key=(study, trial, index))
        found[purpose] = int(sequence.generate_state(1)[0] >> 1)  # 31 bits: valid for every library.
    return found


def seed_global_generators(seed: int) -> None:
    """Seeds the generators of Python and NumPy that submissions may draw from without saying so."""
    random.seed(seed)
    np.random.seed(seed)
