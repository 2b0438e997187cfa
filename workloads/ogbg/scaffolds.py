"""Builds the mini workload's molecules: scaffolds of rings and linkers, with side groups attached.

A scaffold (Bemis & Murcko 1996) is what is left of a molecule without its side groups. Each scaffold belongs to one
split, so validation and test show none of training's.
"""

import functools
import hashlib

import numpy as np

from workloads.ogbg.molecules import Molecule, parse

MAX_ATOMS = 20
MAX_BONDS = 22
MAX_GROUPS = 5

# fmt: off
RINGS = (
    "c1ccccc1", "c1ccncc1", "c1cncnc1", "c1cnccn1", "c1ccnnc1", "c1ccsc1", "c1ccoc1", "c1cc[nH]c1", "c1c[nH]cn1",
    "c1cn[nH]c1", "c1cscn1", "c1cocn1", "C1CCCCC1", "C1CCCC1", "C1CCNCC1", "C1CNCCN1", "C1COCCN1", "C1CCNC1",
    "C1CCOC1", "C1CCOCC1", "C1=CCCCC1", "C1CCSC1", "O=C1CCCN1", "c1ccc2ccccc2c1", "c1ccc2[nH]ccc2c1",
    "c1ccc2ncccc2c1", "c1ccc2cnccc2c1", "c1ccc2occc2c1", "c1ccc2sccc2c1", "c1ccc2[nH]cnc2c1", "c1ccc2scnc2c1",
    "C1CCc2ccccc2C1", "C1Cc2ccccc2C1", "C1Cc2ccccc2N1", "c1ccc2OCOc2c1", "c1cnc2[nH]ccc2c1", "c1cnc2ncccc2c1",
)
# fmt: on
BENZENE_SHARE = 0.35
"""Share of benzene among the rings; it is the most frequent ring in real molecules."""

LINKERS = ("", "C", "CC", "O", "N", "S", "OC", "NC", "C(=O)N", "C(=O)O", "C(=O)", "S(=O)(=O)N", "C=C", "COC")
"""Chains between two rings; the first atom binds one ring, the last atom in the main chain the other."""

GROUPS = {
    "C": 8, "CC": 3, "C(C)C": 2, "CCC": 1, "C=C": 1, "F": 5, "Cl": 6, "Br": 3, "C(F)(F)F": 2, "O": 6, "OC": 6,
    "OCC": 2, "CO": 2, "CCO": 2, "N": 4, "NC": 2, "N(C)C": 3, "CN": 2, "CCN": 1, "C#N": 3, "CC#N": 1, "C=O": 1,
    "C(=O)C": 2, "C(=O)O": 4, "CC(=O)O": 2, "C(=O)OC": 3, "C(=O)N": 4, "C(=O)NC": 2, "NC(=O)C": 3, "NC(=O)N": 1,
    "SC": 2, "S": 1, "S(=O)(=O)C": 2, "S(=O)(=O)N": 2, "[N+](=O)[O-]": 3,
}  # fmt: skip
"""Side groups, bound by their first atom, with their relative frequencies."""

SCAFFOLD_SEED = 1996
NUM_SCAFFOLDS = 2_000
HELD_OUT_SHARE = 0.15
"""Share of the scaffolds for validation, and the same share for test."""
POWER = 0.4
"""Popularity of the scaffold of rank r is (r + 10) ** -POWER."""


def free_atoms(molecule: Molecule) -> list[int]:
    """Carbon and nitrogen atoms with a hydrogen that a group can replace."""
    hydrogens = molecule.hydrogens(molecule.neighbors())
    return [
        atom
        for atom, count in enumerate(hydrogens)
        if count and molecule.elements[atom] in "CN" and not molecule.charges[atom]
    ]


@functools.cache
def _part(smiles: str) -> Molecule:
    return parse(smiles)


@functools.cache
def _free_atoms_of_ring(smiles: str) -> tuple[int, ...]:
    return tuple(free_atoms(_part(smiles)))


def _chain_end(smiles: str) -> int:
    """The last atom of the main chain."""
    atoms_after_branch = smiles.rsplit(")", 1)[-1]
    if not atoms_after_branch:  # It ends with a branch: C(=O).
        return 0
    return len(_part(smiles)) - 1


def _draw_ring(rng: np.random.Generator) -> str:
    return RINGS[0] if rng.random() < BENZENE_SHARE else RINGS[rng.integers(len(RINGS))]


def _draw_scaffold(rng: np.random.Generator) -> Molecule:
    """One ring system, or two with a linker."""
    ring = _draw_ring(rng)
    scaffold = _part(ring).copy()
    if rng.random() < 0.25:
        return scaffold
    linker, other = LINKERS[rng.integers(len(LINKERS))], _draw_ring(rng)
    end = int(rng.choice(_free_atoms_of_ring(ring)))
    if linker:
        end = scaffold.join(end, _part(linker)) + _chain_end(linker)
    scaffold.join(end, _part(other), int(rng.choice(_free_atoms_of_ring(other))))
    return scaffold


def scaffold_key(molecule: Molecule) -> str:
    """Equal for molecules with the same scaffold: a hash of the graph without its acyclic ends.

    Weisfeiler-Lehman refinement of elements and bond orders: https://jmlr.org/papers/v12/shervashidze11a.html.
    Different scaffolds with equal keys would go to the same split, so a collision cannot leak test molecules.
    """
    neighbors = {atom: dict(found) for atom, found in enumerate(molecule.neighbors())}
    while ends := [atom for atom, found in neighbors.items() if len(found) == 1]:
        for end in ends:
            for other in neighbors.pop(end):
                neighbors.get(other, {}).pop(end, None)
    colors = {atom: f"{molecule.elements[atom]}{molecule.aromatic[atom]:d}" for atom in neighbors}
    for _ in range(len(neighbors)):
        seen = {
            atom: (colors[atom], sorted((order, colors[other]) for other, order in found.items()))
            for atom, found in neighbors.items()
        }
        refined = {
            atom: hashlib.sha256(repr(value).encode()).hexdigest()[:16] for atom, value in seen.items()
        }
        # A round that separates no further atoms is the last: later rounds could not separate any either.
        done = len(set(refined.values())) == len(set(colors.values()))
        colors = refined
        if done:
            break
    return hashlib.sha256(repr(sorted(colors.values())).encode()).hexdigest()[:16]


@functools.cache
def scaffolds_of_splits() -> dict[str, list[Molecule]]:
    """Split -> its scaffolds; those with the same key are in the same split."""
    rng = np.random.default_rng(SCAFFOLD_SEED)
    found = [_draw_scaffold(rng) for _ in range(NUM_SCAFFOLDS)]
    found = [
        scaffold
        for scaffold in found
        if len(scaffold) < MAX_ATOMS - 2 and len(scaffold.bonds) < MAX_BONDS - 2
    ]
    by_key: dict[str, list[Molecule]] = {}
    for scaffold in found:
        by_key.setdefault(scaffold_key(scaffold), []).append(scaffold)
    keys = list(by_key)
    rng.shuffle(keys)
    num_held_out = int(HELD_OUT_SHARE * len(keys))
    shares = {
        "validation": keys[:num_held_out],
        "test": keys[num_held_out : 2 * num_held_out],
        "train": keys[2 * num_held_out :],
    }
    return {split: [scaffold for key in share for scaffold in by_key[key]] for split, share in shares.items()}


class MoleculeMaker:
    """Draws molecules of one split: a scaffold with side groups on it."""

    def __init__(self, split: str, rng: np.random.Generator):
        self._scaffolds, self._rng = scaffolds_of_splits()[split], rng
        weights = (np.arange(len(self._scaffolds)) + 10.0) ** -POWER
        self._scaffold_edges = np.cumsum(weights / weights.sum())[:-1]
        self._groups = [parse(smiles) for smiles in GROUPS]
        shares = np.array(list(GROUPS.values()), float)
        self._group_edges = np.cumsum(shares / shares.sum())[:-1]

    def make(self) -> Molecule:
        """A random molecule with at most `MAX_ATOMS` atoms and `MAX_BONDS` bonds."""
        rng = self._rng
        # A fixed number of draws per molecule: what one molecule uses does not shift the random numbers of
        # the next.
        draws = rng.random(2 + 2 * MAX_GROUPS)
        molecule = self._scaffolds[int(np.searchsorted(self._scaffold_edges, draws[0], side="right"))].copy()
        # `free` is not extended by the atoms of a group: groups are attached to the scaffold only.
        free = free_atoms(molecule)
        num_groups = 1 + int(draws[1] * MAX_GROUPS)
        picks = np.searchsorted(self._group_edges, draws[2 : 2 + num_groups], side="right")
        for pick, place in zip(picks, draws[2 + MAX_GROUPS :], strict=False):
            group = self._groups[pick]
            if not free:
                break
            if (
                len(molecule) + len(group) > MAX_ATOMS
                or len(molecule.bonds) + len(group.bonds) + 1 > MAX_BONDS
            ):
                continue
            molecule.join(free.pop(int(place * len(free))), group)
        return molecule
