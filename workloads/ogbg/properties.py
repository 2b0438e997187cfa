"""The 24 tasks of the mini workload: yes-or-no properties of a molecule's graph.

They go from simple (contains sulphur) over groups of atoms and ring positions to pairs of groups at a distance and
combinations, so that a model learns some tasks in a few steps and others late.
"""

import functools
from collections.abc import Callable

from workloads.ogbg.molecules import HALOGENS, Molecule


class Properties:
    """Properties of one molecule; intermediate results that several tasks need are computed once.

    Args:
      molecule: a complete molecule.
      neighbors: `molecule.neighbors()`.
      hydrogens: `molecule.hydrogens(neighbors)`.
    """

    def __init__(self, molecule: Molecule, neighbors: list[list[tuple[int, int]]], hydrogens: list[int]):
        self.molecule, self.neighbors, self.hydrogens = molecule, neighbors, hydrogens
        self.elements, self.aromatic = molecule.elements, molecule.aromatic
        self.atoms = range(len(molecule))
        self.ring_atoms = {atom for ring in molecule.rings for atom in ring}

    def of(self, *elements: str) -> list[int]:
        return [atom for atom in self.atoms if self.elements[atom] in elements]

    def beside(self, atom: int, *elements: str, order: int | None = None) -> list[int]:
        """Neighbours of `atom` that are one of `elements`; with `order`, only those bound by a bond of that order."""
        return [
            other
            for other, found in self.neighbors[atom]
            if self.elements[other] in elements and order in (None, found)
        ]

    @functools.cached_property
    def carbonyls(self) -> list[int]:
        return [atom for atom in self.of("C") if self.beside(atom, "O", order=2)]

    @functools.cached_property
    def amides(self) -> list[int]:
        return [atom for atom in self.carbonyls if self.beside(atom, "N", order=1)]

    @functools.cached_property
    def acids_and_esters(self) -> list[int]:
        return [atom for atom in self.carbonyls if self.beside(atom, "O", order=1)]

    @functools.cached_property
    def hydroxyls(self) -> list[int]:
        """Oxygens of alcohols and phenols."""
        found = [atom for atom in self.of("O") if self.hydrogens[atom]]
        return [atom for atom in found if self.neighbors[atom][0][0] not in self.carbonyls]

    @functools.cached_property
    def amines(self) -> list[int]:
        """Nitrogens with single bonds to carbons that have single bonds only."""
        return [
            atom
            for atom in self.of("N")
            if not self.aromatic[atom]
            and all(
                order == 1 and self.elements[other] == "C" and all(o == 1 for _, o in self.neighbors[other])
                for other, order in self.neighbors[atom]
            )
        ]

    @functools.cached_property
    def halogens(self) -> list[int]:
        return self.of(*HALOGENS)

    @functools.cached_property
    def aryl_halogens(self) -> list[int]:
        return [atom for atom in self.halogens if self.aromatic[self.neighbors[atom][0][0]]]

    @functools.cached_property
    def aryl_ethers(self) -> list[int]:
        return [
            atom
            for atom in self.of("O")
            if atom not in self.ring_atoms
            and len(self.neighbors[atom]) == 2
            and any(self.aromatic[other] for other, _ in self.neighbors[atom])
        ]

    @functools.cached_property
    def donors(self) -> list[int]:
        return [atom for atom in self.of("N", "O") if self.hydrogens[atom]]

    @functools.cached_property
    def acceptors(self) -> list[int]:
        """Oxygens, and nitrogens of aromatic rings and nitriles without hydrogen."""
        nitrogens = [atom for atom in self.of("N") if not self.hydrogens[atom]]
        return self.of("O") + [
            atom for atom in nitrogens if self.aromatic[atom] or self.beside(atom, "C", order=3)
        ]

    @functools.cached_property
    def aromatic_atoms(self) -> list[int]:
        return [atom for atom in self.atoms if self.aromatic[atom]]

    @functools.cached_property
    def num_aromatic_rings(self) -> int:
        return sum(all(self.aromatic[atom] for atom in ring) for ring in self.molecule.rings)

    @functools.cached_property
    def num_rotatable_bonds(self) -> int:
        """Single bonds outside rings between atoms that have other neighbours."""
        rings = [set(ring) for ring in self.molecule.rings]
        return sum(
            order == 1
            and len(self.neighbors[a]) > 1
            and len(self.neighbors[b]) > 1
            and not any(a in ring and b in ring for ring in rings)
            for a, b, order in self.molecule.bonds
        )

    @functools.cached_property
    def balls(self) -> list[list[int]]:
        """[distance][atom] -> bit mask of the atoms at most `distance` bonds away; the last distance reaches all."""
        everything = (1 << len(self.molecule)) - 1
        found = [[1 << atom for atom in self.atoms]]
        while any(ball != everything for ball in found[-1]):
            last = found[-1]
            grown = list(last)
            for a, b, _ in self.molecule.bonds:
                grown[a] |= last[b]
                grown[b] |= last[a]
            found.append(grown)
        return found

    def has_pair(self, firsts: list[int], seconds: list[int], nearest: int, farthest: int) -> bool:
        """Whether an atom of one list is `nearest` (at least 1) to `farthest` bonds away from one of the other."""
        last = len(self.balls) - 1
        if nearest > last:
            return False
        wanted = sum(1 << atom for atom in seconds)
        near, far = self.balls[nearest - 1], self.balls[min(farthest, last)]
        return any(far[atom] & ~near[atom] & wanted for atom in firsts)

    def has_substituents(self, distance: int) -> bool:
        """Whether two atoms of one aromatic six-ring at that distance bind atoms outside of rings."""
        for ring in self.molecule.rings:
            if len(ring) != 6 or not all(self.aromatic[atom] for atom in ring):
                continue
            bound = [
                atom
                for atom in ring
                if any(other not in self.ring_atoms for other, _ in self.neighbors[atom])
            ]
            if self.has_pair(bound, bound, distance, distance):
                return True
        return False

    @functools.cached_property
    def fused_atoms(self) -> list[int]:
        counts = [0] * len(self.molecule)
        for ring in self.molecule.rings:
            for atom in ring:
                counts[atom] += 1
        return [atom for atom, count in enumerate(counts) if count > 1]

    @functools.cached_property
    def oiliness(self) -> float:
        """A sum over atoms similar to log P: carbon, sulphur and halogens add, polar atoms subtract."""
        weights = {"C": 0.3, "N": -0.8, "O": -0.7, "S": 0.4, "F": 0.3, "Cl": 0.7, "Br": 0.9}
        polar = 0.4 * len(self.donors) + 1.0 * len(self.amines)
        return sum(weights[element] for element in self.elements) + 0.1 * sum(self.aromatic) - polar


TASKS: dict[str, Callable[[Properties], bool]] = {
    "sulphur": lambda p: bool(p.of("S")),
    "aryl_halogen": lambda p: bool(p.aryl_halogens),
    "amide": lambda p: bool(p.amides),
    "acid_or_ester": lambda p: bool(p.acids_and_esters),
    "hydroxyl": lambda p: bool(p.hydroxyls),
    "amine": lambda p: bool(p.amines),
    "pyridine_nitrogen": lambda p: any(
        p.aromatic[atom] and not p.molecule.pyrrolic[atom] for atom in p.of("N")
    ),
    "five_ring_with_two_hetero_atoms": lambda p: any(
        len(ring) == 5 and sum(p.elements[atom] != "C" for atom in ring) > 1 for ring in p.molecule.rings
    ),
    "fused_rings": lambda p: bool(p.fused_atoms),
    "many_aromatic_rings": lambda p: p.num_aromatic_rings >= 3,
    "many_hetero_atoms": lambda p: sum(element != "C" for element in p.elements) >= 8,
    "many_rotatable_bonds": lambda p: p.num_rotatable_bonds >= 6,
    "many_donors": lambda p: len(p.donors) >= 3,
    "aryl_ether": lambda p: bool(p.aryl_ethers),
    "oily": lambda p: p.oiliness > 3.6,
    "long": lambda p: len(p.balls) > 12,
    "ortho_substituents": lambda p: p.has_substituents(1),
    "para_substituents": lambda p: p.has_substituents(3),
    "donor_near_acceptor": lambda p: p.has_pair(p.donors, p.acceptors, 3, 3),
    "hydroxyl_near_halogen": lambda p: p.has_pair(p.hydroxyls, p.halogens, 2, 5),
    "amine_away_from_aromatic_rings": lambda p: (
        bool(p.amines and p.aromatic_atoms) and not p.has_pair(p.amines, p.aromatic_atoms, 1, 3)
    ),
    "amide_and_aryl_halogen": lambda p: bool(p.amides and p.aryl_halogens),
    "either_one_hydroxyl_or_one_carbonyl": lambda p: (len(p.hydroxyls) == 1) != (len(p.carbonyls) == 1),
    "sulphonyl_or_nitro": lambda p: (
        any(sum(order == 2 for _, order in p.neighbors[atom]) > 1 for atom in p.of("S"))
        or any(charge > 0 for charge in p.molecule.charges)
    ),
}
