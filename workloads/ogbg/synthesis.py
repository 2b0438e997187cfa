"""The molecules of the mini workload, as text files in the layout of OGB's release.

Each split has its own scaffolds (`scaffolds`); a label is a property of the graph (`properties`), wrong now and then,
and missing in a share that each task has of its own, as assays of real molecules are.
"""

import functools
import gzip
import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from algoperf.data.prepared import is_synthesized, mark_synthesized, num_examples, of_instance
from algoperf.spec import UsageError
from algoperf.workload import WorkloadSpec
from workloads.ogbg import molecules, properties, raw_tables, scaffolds

VERSION = 1  # Raise with every change of the text: existing folders are then written again.
# Fixed: another seed would change the data that the mini targets were measured on.
SEED = 2020
LABEL_NOISE = 0.04
"""Share of positive labels that are flipped; as many negative labels are flipped, too."""
MISSING_SHARES = (0.2, 0.6)
"""Range from which each task draws its share of missing labels."""
CHIRAL_SHARE = 0.3
"""Share of sp3 atoms with three or more neighbours that get a random chirality; no task depends on it."""


def describe(spec: WorkloadSpec) -> dict[str, Any]:
    """Everything that the synthesized text depends on."""
    return {
        "version": VERSION,
        "seed": SEED,
        "num_tasks": spec.model.num_outputs,
        "molecules": num_examples(spec),
        **of_instance(spec),
    }


def synthesize(spec: WorkloadSpec, folder: Path, progress: bool = True, seed: int = SEED) -> None:
    """Writes the files of `raw_tables` into `folder/raw`, unless the same text is there already."""
    raw = folder / "raw"
    description = describe(spec)
    if is_synthesized(raw, description):
        return
    shutil.rmtree(raw, ignore_errors=True)
    texts = make_texts(description, progress, seed)
    digest = hashlib.sha256()
    for table in raw_tables.tables(description["num_tasks"]):
        digest.update(texts[table.name])
        path = table.path(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        # mtime 0 in the gzip header: the files have the same bytes, and checksums, every time.
        path.write_bytes(gzip.compress(texts[table.name], compresslevel=6, mtime=0))
    mark_synthesized(raw, description, digest.hexdigest())


def make_texts(description: dict[str, Any], progress: bool = True, seed: int = SEED) -> dict[str, bytes]:
    """Name of a table -> its text."""
    num_tasks, sizes = description["num_tasks"], description["molecules"]
    if num_tasks > len(properties.TASKS):
        raise UsageError(
            f"The mini molecules have {len(properties.TASKS)} tasks; num_outputs is {num_tasks}. Make it smaller."
        )
    # The files hold the molecules of all splits in one random order. A molecule depends on its split and its number
    # there, not on the sizes of other splits.
    owners = np.repeat(np.arange(len(sizes)), list(sizes.values()))
    np.random.default_rng([seed, 0]).shuffle(owners)
    makers = [
        scaffolds.MoleculeMaker(split, np.random.default_rng([seed, 1 + number]))
        for number, split in enumerate(sizes)
    ]
    details = np.random.default_rng([seed, 9])
    tables: dict[str, list[Any]] = {name: [] for name in ("nodes", "bonds", "bond_ends")}
    node_counts, bond_counts, answers = [], [], []
    for owner in tqdm(owners.tolist(), desc="synthesize", unit="molecule", disable=not progress):
        molecule = _shuffled(makers[owner].make(), details)
        neighbors = molecule.neighbors()
        hydrogens = molecule.hydrogens(neighbors)
        kinds = molecules.hybridizations(molecule, neighbors)
        tables["nodes"] += molecules.atom_codes(
            molecule, neighbors, hydrogens, kinds, _chirality(neighbors, kinds, details)
        )
        tables["bonds"] += molecules.bond_codes(molecule, kinds)
        tables["bond_ends"] += [bond[:2] for bond in molecule.bonds]
        node_counts.append(len(molecule))
        bond_counts.append(len(molecule.bonds))
        found = properties.Properties(molecule, neighbors, hydrogens)
        answers.append([task(found) for task in list(properties.TASKS.values())[:num_tasks]])
    texts = {name: _lines(rows) for name, rows in tables.items()}
    texts |= {"node_counts": _column(node_counts), "bond_counts": _column(bond_counts)}
    labels = observe(np.array(answers, bool), seed)
    words = np.array([b"", b"0.0", b"1.0"], object)[labels + 1]
    texts["labels"] = b"".join(b",".join(row) + b"\n" for row in words.tolist())
    for number, split in enumerate(sizes):
        texts[split] = _column(np.flatnonzero(owners == number).tolist())
    return texts


def _shuffled(molecule: molecules.Molecule, rng: np.random.Generator) -> molecules.Molecule:
    """The same molecule with its atoms and bonds in another order."""
    order = rng.permutation(len(molecule)).tolist()
    place = {old: new for new, old in enumerate(order)}
    bonds = [(place[a], place[b], kind) for a, b, kind in molecule.bonds]
    elements, charges, aromatic, pyrrolic = ([values[old] for old in order] for values in molecule.per_atom())
    return molecules.Molecule(
        elements,
        charges,
        aromatic,
        pyrrolic,
        bonds=sorted(bonds),
        rings=[tuple(place[atom] for atom in ring) for ring in molecule.rings],
    )


def _chirality(
    neighbors: list[list[tuple[int, int]]], kinds: list[int], rng: np.random.Generator
) -> list[int]:
    """OGB's codes: 0 none, 1 and 2 clockwise and counterclockwise."""
    draws = rng.random(len(kinds)).tolist()
    return [
        (1 if draw < CHIRAL_SHARE / 2 else 2)
        if draw < CHIRAL_SHARE and kind == molecules.SP3 and len(found) > 2
        else 0
        for draw, kind, found in zip(draws, kinds, neighbors, strict=True)
    ]


def observe(answers: np.ndarray, seed: int = SEED) -> np.ndarray:
    """True answers (molecules, tasks) -> labels: 0, 1, or `raw_tables.MISSING`."""
    rng = np.random.default_rng([seed, 10])
    share = answers.mean(axis=0)
    # Negatives are flipped at a lower rate for a rare property: at 4 % most of its positive labels would be wrong.
    flip = np.where(answers, LABEL_NOISE, LABEL_NOISE * share / np.maximum(1 - share, 1e-9))
    labels = (answers ^ (rng.random(answers.shape) < flip)).astype(np.int8)
    missing = rng.uniform(*MISSING_SHARES, len(share))
    if seed != SEED:  # How often a task is left out belongs to the task, which all seeds share.
        public = np.random.default_rng([SEED, 10])
        public.random(answers.shape)  # As above, before its shares are drawn.
        missing = public.uniform(*MISSING_SHARES, len(share))
    labels[rng.random(answers.shape) < missing] = raw_tables.MISSING
    return labels


@functools.cache
def _number(value: int) -> bytes:
    return b"%d" % value


def _lines(rows: list[tuple[int, ...]]) -> bytes:
    return b"".join(b",".join(map(_number, row)) + b"\n" for row in rows)


def _column(values: Iterable[int]) -> bytes:
    return b"".join(b"%d\n" % value for value in values)
