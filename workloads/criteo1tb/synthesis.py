"""The clicks of the mini workload: day files of the real format whose click probabilities are known.

Categorical values follow power laws. The logit of a click is the sum of small effects of single values and large
effects
of pairs: products of hidden vectors of two categorical values, and of a categorical value with a numerical one. So a
model of single features (logistic regression) stays far above the floor, the mean entropy of the known probabilities.
Popularity, vectors and the overall click rate drift from day to day; the last day, which holds validation and test,
comes
after all training days.
"""

import dataclasses
import functools
import gzip
import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from algoperf.data.prepared import is_synthesized, mark_synthesized, num_test_examples, of_instance
from algoperf.workload import WorkloadSpec
from workloads.criteo1tb.rows import NUM_CATEGORICAL, NUM_DENSE

VERSION = 1  # Increase it when the text changes; existing folders are then written again.
SEED = 1909
TOKENS = 10_000  # Keeps the tokens of another seed apart from its days.

# Distinct values of a categorical feature: as many as the real feature has buckets, at most this many.
MOST_VALUES = 200
POWER = 0.9  # Popularity of the value of rank r is (r + 5) ** -POWER.
NUM_FACTORS = 2
# Pairs of categorical features that interact. All have many buckets, so that hashing keeps their values apart.
PAIRS = ((0, 9), (1, 19), (2, 20), (10, 21), (4, 11), (22, 14))
# The scales are chosen so that pairs carry most of the information (README.md: logistic regression 0.607,
# floor 0.254).
PAIR_SCALE = 1.3
# (numerical, categorical) features that interact.
MIXED_PAIRS = ((0, 1), (3, 2), (5, 10), (8, 22))
MIXED_SCALE = 0.9
SINGLE_SCALE = 0.12
OFFSET = -2.4
OFFSET_DRIFT, VECTOR_DRIFT, POPULARITY_DRIFT = 0.05, 0.03, 0.1  # Changes per day.
MOST_COUNT = 9_999  # Largest value of a numerical feature.


@dataclasses.dataclass(frozen=True)
class World:
    """All parameters of the distribution, drawn once for all days."""

    popularity: list[np.ndarray]
    """Per categorical feature (values,): log of the unnormalised probability of each value on day 0."""
    popularity_drift: list[np.ndarray]
    tokens: list[np.ndarray]
    """Per categorical feature (values,): its values as bytes, 8 hexadecimal digits each."""
    effects: list[np.ndarray]
    """Per categorical feature (values,): effect on the logit."""
    vectors: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]
    """Pair -> hidden vectors (values, factors) of the first and of the second feature."""
    vector_drift: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]
    mixed: np.ndarray
    """(pairs, values): slope of a numerical feature given a categorical value."""
    missing: np.ndarray
    """(13,) probability that a numerical feature is empty."""
    location: np.ndarray
    """(13,) mean of the log of a numerical feature."""
    scale: np.ndarray
    """(13,) standard deviation of the log of a numerical feature."""
    dense_effects: np.ndarray
    """(13,) effect on the logit, per standard deviation."""


@dataclasses.dataclass(frozen=True)
class Clicks:
    """The lines of one day."""

    counts: np.ndarray
    """(n, 13) numerical features; -2 is an empty field."""
    values: np.ndarray
    """(n, 26) positions in `World.tokens`."""
    probabilities: np.ndarray
    """(n,) probability of a click."""
    labels: np.ndarray
    """(n,) bool, whether there was a click."""

    def entropy(self) -> np.ndarray:
        """(n,) the least expected cross entropy of each line, in nats."""
        p = self.probabilities
        return -(p * np.log(p) + (1 - p) * np.log1p(-p))


def describe(spec: WorkloadSpec) -> dict[str, Any]:
    """What identifies the text, for the manifest."""
    return {"version": VERSION, "seed": SEED, "lines": _lines_per_day(spec), **of_instance(spec)}


def _lines_per_day(spec: WorkloadSpec) -> list[int]:
    num_days = spec.data.num_days - 1
    train = [spec.num_train_examples * (day + 1) // num_days for day in range(num_days)]
    sizes = [after - before for before, after in zip([0, *train], train)]
    return [*sizes, num_test_examples(spec) + spec.num_validation_examples]


@functools.cache
def make_world(bucket_counts: tuple[int, ...], seed: int = SEED) -> World:
    """Draws tokens, popularities and effects; the same on every machine.

    Another seed draws other tokens, the names under which values appear. What a value does stays, so that all seeds
    have one distribution; but what a model has learned of a token is worth nothing under another seed.
    """
    rng = np.random.default_rng(SEED)
    sizes = [min(count, MOST_VALUES) for count in bucket_counts]

    def vectors(pair: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        first, second = (rng.standard_normal((sizes[column], NUM_FACTORS)) for column in pair)
        return first, second

    tokens = rng.choice(2**32, sum(sizes), replace=False)
    if seed != SEED:
        tokens = np.random.default_rng([seed, TOKENS]).choice(2**32, sum(sizes), replace=False)
    tokens = np.array([b"%08x" % token for token in tokens], object)
    return World(
        popularity=[-POWER * np.log(np.arange(size) + 5.0) for size in sizes],
        popularity_drift=[rng.standard_normal(size) for size in sizes],
        tokens=np.split(tokens, np.cumsum(sizes)[:-1]),
        effects=[SINGLE_SCALE * rng.standard_normal(size) for size in sizes],
        vectors={pair: vectors(pair) for pair in PAIRS},
        vector_drift={pair: vectors(pair) for pair in PAIRS},
        mixed=MIXED_SCALE * rng.standard_normal((len(MIXED_PAIRS), MOST_VALUES)),
        missing=rng.uniform(0.0, 0.4, NUM_DENSE),
        location=rng.uniform(0.5, 4.0, NUM_DENSE),
        scale=rng.uniform(0.6, 1.4, NUM_DENSE),
        dense_effects=SINGLE_SCALE * rng.standard_normal(NUM_DENSE),
    )


def make_clicks(world: World, day: int, num_lines: int, seed: int = SEED) -> Clicks:
    """Draws the lines of one day. They do not depend on the sizes of other days."""
    rng = np.random.default_rng([seed, day])
    values = np.empty((num_lines, NUM_CATEGORICAL), np.int64)
    logits = np.full(num_lines, OFFSET + OFFSET_DRIFT * day)
    for column in range(NUM_CATEGORICAL):
        weights = np.exp(world.popularity[column] + POPULARITY_DRIFT * day * world.popularity_drift[column])
        edges = np.cumsum(weights / weights.sum())[:-1]
        values[:, column] = np.searchsorted(edges, rng.random(num_lines), side="right")
        logits += world.effects[column][values[:, column]]
    for pair in PAIRS:
        left, right = (
            (start + VECTOR_DRIFT * day * drift)[values[:, column]]
            for column, start, drift in zip(pair, world.vectors[pair], world.vector_drift[pair], strict=True)
        )
        logits += PAIR_SCALE * NUM_FACTORS**-0.5 * (left * right).sum(axis=1)

    noise = rng.standard_normal((num_lines, NUM_DENSE))
    counts = np.minimum(np.exp(world.location + world.scale * noise), MOST_COUNT).astype(np.int64)
    counts[:, 1] -= 2  # As in the real data, one feature has negative values, -1 among them.
    counts[rng.random((num_lines, NUM_DENSE)) < world.missing] = -2
    # Effects come from what a model sees, in which missing and negative counts are 0.
    seen = (np.log1p(np.maximum(counts, 0)) - world.location) / world.scale
    logits += seen @ world.dense_effects
    for slopes, (dense, column) in zip(world.mixed, MIXED_PAIRS, strict=True):
        logits += slopes[values[:, column]] * seen[:, dense]
    probabilities = 1 / (1 + np.exp(-logits))
    return Clicks(counts, values, probabilities, rng.random(num_lines) < probabilities)


def make_text(world: World, clicks: Clicks) -> bytes:
    """The text of the lines in a day file."""
    number_text = np.array([b"%d" % value for value in range(MOST_COUNT + 1)] + [b"", b"-1"], object)
    columns = [np.array([b"0", b"1"], object)[clicks.labels.astype(np.int64)]]
    columns += [number_text[column] for column in clicks.counts.T]  # -1 and -2 index the last two.
    columns += [tokens[column] for tokens, column in zip(world.tokens, clicks.values.T, strict=True)]
    lines = zip(*(column.tolist() for column in columns), strict=True)
    return b"\n".join(map(b"\t".join, lines)) + b"\n"


def floors(spec: WorkloadSpec, seed: int = SEED) -> dict[str, float]:
    """Split -> mean entropy of the true probabilities, the lowest expected loss of any model."""
    world = make_world(tuple(spec.data.bucket_counts), seed)
    sizes = _lines_per_day(spec)
    entropies = [make_clicks(world, day, size, seed).entropy() for day, size in enumerate(sizes)]
    return {
        "train": float(np.concatenate(entropies[:-1]).mean()),
        "validation": float(entropies[-1][num_test_examples(spec) :].mean()),
        "test": float(entropies[-1][: num_test_examples(spec)].mean()),
    }


def synthesize(spec: WorkloadSpec, folder: Path, progress: bool = True, seed: int = SEED) -> None:
    """Writes `folder/raw/day_N.gz`, unless the same text is already there."""
    raw = folder / "raw"
    description = describe(spec)
    if is_synthesized(raw, description):
        return
    shutil.rmtree(raw, ignore_errors=True)
    raw.mkdir(parents=True)
    world = make_world(tuple(spec.data.bucket_counts), seed)
    digest = hashlib.sha256()
    days = tqdm(enumerate(_lines_per_day(spec)), desc="synthesize", unit="day", disable=not progress)
    for day, num_lines in days:
        text = make_text(world, make_clicks(world, day, num_lines, seed))
        digest.update(text)
        # No time in the header, so that the bytes are the same every time.
        (raw / f"day_{day}.gz").write_bytes(gzip.compress(text, compresslevel=1, mtime=0))
    mark_synthesized(raw, description, digest.hexdigest())
