"""Held-out draws: one variant out of each pool of a suite, by a seed (RULES.md, section 9).

    suite = suites.load("algoperf_v05")
    drawn(suite.held_out_pools, seed=3438810845)   # {'librispeech_conformer_layernorm': 'librispeech_conformer', ...}

A draw is a suite file, with all targets and budgets in it. Whoever seals one publishes the hash of the file, and the
file itself once submissions are frozen: a random salt in it keeps others from finding the seed by trying.
"""

import dataclasses
import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from algoperf import files, suites, typed_json
from algoperf.spec import UsageError
from algoperf.suites import Suite

MAX_SEED = 2**64 - 1
SALT_BYTES = 32
SHA_256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Source:
    """How a drawn suite was made; `source` of its file."""

    draw: str
    """The suite whose pools were drawn from."""
    seed: int
    salt: str = ""
    """Random text of a sealed draw, in hexadecimal digits; '' of one that nobody seals."""


def drawn(pools: Mapping[str, Mapping[str, str]], seed: int) -> dict[str, str]:
    """Variant -> the fixed workload that it guards: of each pool one, all alike probable.

    Pools are gone through in their order, variants are counted in theirs; AlgoPerf's draw of 2024 is the same.

    Args:
      pools: name -> variants of one data set, each with the fixed workload that it guards.
      seed: of NumPy's default generator.

    >>> drawn({"ogbg": {"ogbg_gelu": "ogbg", "ogbg_silu": "ogbg"}, "wmt": {"wmt_post_ln": "wmt"}}, seed=1)
    {'ogbg_gelu': 'ogbg', 'wmt_post_ln': 'wmt'}
    """
    rng = np.random.default_rng(seed)
    picked = [list(pool.items())[int(rng.integers(len(pool)))] for pool in pools.values()]
    return dict(picked)


def check_seed(seed: int | None) -> int:
    """The seed, or a new one for None.

    Raises:
      UsageError: for one that is out of range.
    """
    if seed is None:
        # 32 bits, as AlgoPerf draws where none is given: enough not to meet one again, and short enough to print.
        return 1 + secrets.randbelow(2**32 - 1)
    if not 1 <= seed <= MAX_SEED:
        raise UsageError(
            f"--seed must be from 1 to {MAX_SEED}, got {seed} (0 means 'none' in AlgoPerf's draw); leave it out for a "
            "random one."
        )
    return seed


def content(suite: Suite, seed: int, salt: str = "") -> dict[str, Any]:
    """The file of the suite with the draw of this seed.

    Raises:
      UsageError: if the suite has no pools.
    """
    if not suite.held_out_pools:
        having = [name for name in suites.names() if suites.load(name).held_out_pools]
        raise UsageError(
            f"Suite {suite.name!r} has no pools to draw held-out variants from; choose from {', '.join(having)}, or "
            "give a suite file with held_out_pools."
        )
    held_out = drawn(suite.held_out_pools, seed)
    whole = dataclasses.replace(suite, held_out=held_out)
    return {
        "description": f"{Path(suite.name).stem} with {len(held_out)} held-out variants, drawn with seed {seed}.",
        "source": dataclasses.asdict(Source(draw=suite.name, seed=seed, salt=salt)),
        "r_max": suite.r_max,
        "frugal": suite.frugal,
        "rulesets": {name: dataclasses.asdict(ruleset) for name, ruleset in suite.rulesets.items()},
        "workloads": list(suite.workloads),
        "held_out": held_out,
        "held_out_pools": {name: dict(pool) for name, pool in suite.held_out_pools.items()},
        "targets": {name: dataclasses.asdict(whole.targets(name)) for name in whole.scored_names()},
    }


def write(path: Path, suite: Suite, seed: int, *, sealed: bool = False) -> tuple[dict[str, str], str]:
    """Draws and writes the suite file, with a salt if `sealed`; the draw, and the SHA-256 of the file.

    Raises:
      UsageError: if the suite has no pools, the file is there already, or cannot be written.
    """
    # A draw that is replaced is a draw that was repeated until it suited.
    if path.exists():
        raise UsageError(f"{path} is there already: move it away, or give another --output.")
    if not suites.is_file(path.name):
        raise UsageError(f"--output must end in .json, got {str(path)!r}: commands know suite files by that.")
    made = content(suite, seed, secrets.token_hex(SALT_BYTES) if sealed else "")
    try:
        files.write_json(path, made)
        if sealed:
            path.chmod(0o600)
    except OSError as error:
        raise UsageError(f"Cannot write {str(path)!r} ({error.strerror}): give another --output.") from error
    return made["held_out"], hash_of(path)


def hash_of(path: Path) -> str:
    """SHA-256 of the file's bytes, as `sha256sum` prints it."""
    return hashlib.sha256(files.read_regular(path)).hexdigest()


@dataclass(frozen=True)
class Revealed:
    """What a sealed file turned out to be."""

    source: Source
    held_out: Mapping[str, str]
    problems: tuple[str, ...]
    """Why it is not the draw that was announced; empty if it is."""


def reveal(path: Path, published: str) -> Revealed:
    """Compares a sealed file with the hash that was published for it, and draws again.

    Args:
      path: the file.
      published: SHA-256, 64 hexadecimal digits.

    Raises:
      UsageError: if there is no such file, it holds no draw, or the hash is none.
    """
    wanted = published.strip().lower()
    if not SHA_256.fullmatch(wanted):
        raise UsageError(f"--hash must be the published SHA-256, 64 hexadecimal digits; got {published!r}.")
    suite = suites.load(str(path))  # Says what is wrong with a file that is none.
    own = files.read_strict_json(path)
    try:
        source = typed_json.value_of(Source, own.get("source"), "source")
    except ValueError as error:
        raise UsageError(f"{path} is no draw: {error}. Give the file that draw_held_out.py wrote.") from None
    problems = []
    if (found := hash_of(path)) != wanted:
        problems.append(f"its SHA-256 is {found}, and {wanted} was published")
    if not source.salt:
        problems.append("it has no salt, so it was not sealed")
    again = drawn(suite.held_out_pools, check_seed(source.seed))
    if again != dict(suite.held_out):
        problems.append(
            f"its seed {source.seed} draws {', '.join(again)}, and it lists {', '.join(suite.held_out)}"
        )
    problems += _differences(suite, source)
    return Revealed(source, suite.held_out, tuple(problems))


def _differences(suite: Suite, source: Source) -> list[str]:
    """What a file changes against the suite that it says it was drawn from, which everybody has."""
    if source.draw not in suites.names():
        return []
    base = suites.load(source.draw)
    found = [
        f"its {what} are not those of suite {source.draw}"
        for what in ("workloads", "rulesets", "held_out_pools", "r_max")
        if getattr(suite, what) != getattr(base, what)
    ]
    whole = dataclasses.replace(base, held_out=suite.held_out) if base.workloads == suite.workloads else base
    other = [
        name
        for name in suite.scored_names()
        if name in whole.scored_names() and suite.targets(name) != whole.targets(name)
    ]
    return [*found, *([f"its targets of {', '.join(other)} are not those of {source.draw}"] if other else [])]
