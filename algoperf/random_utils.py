"""Random keys of the steps in both frameworks, key functions for PyTorch submissions, and seeds by purpose. NumPy only.

Keys in PyTorch are int32 arrays of shape (2,), as in AlgoPerf, made by `PRNGKey`, `split` and `fold_in`. Keys in JAX
are uint32 arrays of shape (2,), those of `jax.random`; `jax_step_keys` computes the keys of the steps without JAX.
All functions but `seed_global_generators` are pure.
"""

import random
from collections.abc import Callable

import numpy as np

# Keys are int32 in AlgoPerf.
_LIMIT = 2**31 - 1

SEED_PURPOSES = ("data", "init", "submission", "evaluation")


def PRNGKey(seed: int) -> np.ndarray:  # noqa: N802 - as in jax.random
    """The (2,) int32 key of a non-negative integer seed, for PyTorch."""
    return split(np.array([seed % _LIMIT, seed // _LIMIT % _LIMIT], np.int32))[0]


def split(key: np.ndarray, num: int = 2) -> np.ndarray:
    """(num, 2) int32 keys, drawn from a generator that is seeded with `key`; for PyTorch."""
    generator = np.random.RandomState([int(item) % _LIMIT for item in key])
    return generator.randint(0, _LIMIT, size=(num, 2), dtype=np.int32)


def fold_in(key: np.ndarray, data: int) -> np.ndarray:
    """A (2,) int32 key that depends on `key` and the integer `data`; for PyTorch."""
    generator = np.random.RandomState([int(item) % _LIMIT for item in key])
    return np.array([generator.randint(0, _LIMIT, dtype=np.int32), data % _LIMIT], np.int32)


KEY_BLOCK = 4096  # Steps whose keys are drawn at once: an eager split each step would cost 0.1 ms in JAX.
Words = np.ndarray | np.uint32
StepKeys = Callable[[int], tuple[np.ndarray, np.ndarray, np.ndarray]]
"""global_step -> keys for data selection, update and prepare_for_eval, each an array of shape (2,)."""


def pytorch_step_keys(seed: int) -> StepKeys:
    """int32 keys for each step of a PyTorch run. The keys of a step depend only on `seed` and the step."""

    def draw(number: int) -> np.ndarray:
        return np.random.default_rng([seed, number]).integers(
            0, _LIMIT, size=(KEY_BLOCK, 3, 2), dtype=np.int32
        )

    return _in_blocks(draw)


def jax_step_keys(seed: int) -> StepKeys:
    """uint32 keys for each step of a JAX run: `jax.random.split(fold_in(PRNGKey(seed), step), 4)`, as in AlgoPerf.

    Computed in NumPy, because a JAX call would wait for the training steps that are queued on the same device.
    """
    # `PRNGKey`: upper and lower half of the seed. `fold_in` hashes the counts (0, step); `split` with
    # `jax_threefry_partitionable`, JAX's default, hashes (0, index).
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
            # Steps come in order, so an earlier block is not needed again.
            blocks.clear()
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
    # Rotations and the parity constant are those of Threefry-2x32 in the paper.
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
    """Independent seeds of one trial: purpose -> seed, below 2**31 (R11.8).

    Every trial of every study has its own seeds. A change in how one purpose uses random numbers does not change the
    other purposes.

    Raises:
      ValueError: if `rng_seed`, `study` or `trial` is negative.
    """
    found = {}
    for index, purpose in enumerate(SEED_PURPOSES):
        # By spawn key, not by seed + trial: such sums of different studies would coincide.
        sequence = np.random.SeedSequence(rng_seed, spawn_key=(study, trial, index))
        found[purpose] = int(sequence.generate_state(1)[0] >> 1)  # Some libraries take signed seeds.
    return found


def seed_global_generators(seed: int) -> None:
    """Seeds the global generators of Python and NumPy, which submissions may use beside the keys they are given."""
    random.seed(seed)
    np.random.seed(seed)
