"""Molecules of the mini workload: a parser of simple SMILES, joining of parts, and OGB's atom and bond codes.

SMILES (Weininger 1988) without chirality: the elements below, lower case in aromatic rings, `=` and `#`, branches,
one-digit ring closures, and [nH], [N+], [O-]. Hydrogens are not atoms of a graph; they fill up valences.
"""

import dataclasses
import re
from collections import deque

VALENCES = {"C": (4,), "N": (3,), "O": (2,), "S": (2, 4, 6), "F": (1,), "Cl": (1,), "Br": (1,)}
ATOMIC_NUMBERS = {"C": 6, "N": 7, "O": 8, "F": 9, "S": 16, "Cl": 17, "Br": 35}
HALOGENS = ("F", "Cl", "Br")
AROMATIC = 4
"""The order of an aromatic bond, after 1, 2 and 3; OGB's codes of bond types are one less."""

_TOKENS = re.compile(r"Cl|Br|\[nH\]|\[N\+\]|\[O-\]|[CNOSFcnos]|[=#()]|\d")


@dataclasses.dataclass
class Molecule:
    """Atoms by number, with bonds. Parts are joined in place; hydrogens follow."""

    elements: list[str]
    charges: list[int]
    aromatic: list[bool]
    pyrrolic: list[bool]
    """Aromatic atoms that give two electrons to their ring (NH, O, S), so they have no double bond."""
    bonds: list[tuple[int, int, int]]
    """(atom, atom, order)"""
    rings: list[tuple[int, ...]]
    """Atoms of the smallest rings."""

    def __len__(self) -> int:
        return len(self.elements)

    def per_atom(self) -> tuple[list, ...]:
        """The lists with an entry per atom."""
        return self.elements, self.charges, self.aromatic, self.pyrrolic

    def copy(self) -> "Molecule":
        return Molecule(
            list(self.elements),
            list(self.charges),
            list(self.aromatic),
            list(self.pyrrolic),
            list(self.bonds),
            list(self.rings),
        )

    def join(self, atom: int, part: "Molecule", part_atom: int = 0) -> int:
        """Adds `part` with a single bond from `atom` to its `part_atom`; returns the new number of its first atom."""
        first = len(self)
        for own, new in zip(self.per_atom(), part.per_atom(), strict=True):
            own.extend(new)
        self.bonds.append((atom, first + part_atom, 1))
        self.bonds.extend((first + a, first + b, order) for a, b, order in part.bonds)
        self.rings.extend(tuple(first + member for member in ring) for ring in part.rings)
        return first

    def neighbors(self) -> list[list[tuple[int, int]]]:
        """For each atom the (atom, order) at the other ends of its bonds."""
        found: list[list[tuple[int, int]]] = [[] for _ in self.elements]
        for a, b, order in self.bonds:
            found[a].append((b, order))
            found[b].append((a, order))
        return found

    def hydrogens(self, neighbors: list[list[tuple[int, int]]]) -> list[int]:
        """Number of hydrogens that each atom binds: its smallest valence that is large enough, minus its bonds.

        Raises:
          ValueError: if an atom has more bonds than its largest valence.
        """
        found = []
        for atom, element in enumerate(self.elements):
            used = sum(1 if order == AROMATIC else order for _, order in neighbors[atom])
            used += self.aromatic[atom] and not self.pyrrolic[atom]
            # A positive nitrogen has four bonds, a negative oxygen one.
            free = [valence + self.charges[atom] - used for valence in VALENCES[element]]
            fitting = [count for count in free if count >= 0]
            if not fitting:
                raise ValueError(f"Atom {atom} ({element}) of {self} has too many bonds.")
            found.append(fitting[0])
        return found


def parse(smiles: str) -> Molecule:
    """Reads simple SMILES.

    >>> acetamide = parse("CC(=O)N")
    >>> acetamide.bonds, acetamide.hydrogens(acetamide.neighbors())
    ([(0, 1, 1), (1, 2, 2), (1, 3, 1)], [3, 0, 0, 2])
    >>> pyrrole = parse("c1cc[nH]c1")
    >>> pyrrole.rings, pyrrole.hydrogens(pyrrole.neighbors())
    ([(0, 1, 2, 3, 4)], [1, 1, 1, 1, 1])
    """
    found = Molecule([], [], [], [], [], [])
    branches: list[int] = []
    open_rings: dict[str, int] = {}
    previous, order = -1, 0  # 0: single, or aromatic between aromatic atoms.

    def bond(a: int, b: int) -> None:
        between = AROMATIC if found.aromatic[a] and found.aromatic[b] else 1
        found.bonds.append((a, b, order or between))

    tokens = _TOKENS.findall(smiles)
    if "".join(tokens) != smiles:
        raise ValueError(f"{smiles!r} is not made of {_TOKENS.pattern}.")
    for token in tokens:
        if token in "=#":
            order = 2 if token == "=" else 3
        elif token == "(":
            branches.append(previous)
        elif token == ")":
            previous = branches.pop()
        elif token.isdigit() and token in open_rings:
            bond(open_rings.pop(token), previous)
            order = 0
        elif token.isdigit():
            open_rings[token] = previous
        else:
            symbol = token.strip("[]+-")
            is_pyrrolic = symbol in ("nH", "o", "s")
            symbol = symbol.removesuffix("H")
            found.elements.append(symbol if len(symbol) > 1 else symbol.upper())
            found.charges.append(("+" in token) - ("-" in token))
            found.aromatic.append(symbol.islower())
            found.pyrrolic.append(is_pyrrolic)
            if previous >= 0:
                bond(previous, len(found) - 1)
            previous, order = len(found) - 1, 0
    found.rings = _smallest_rings(found)
    return found


def _smallest_rings(molecule: Molecule) -> list[tuple[int, ...]]:
    """The shortest ring through each bond, without duplicates; correct for the ring systems in `scaffolds.RINGS`."""
    neighbors = molecule.neighbors()
    found = set()
    for start, end, _ in molecule.bonds:
        came_from = {start: start}
        queue = deque([start])
        while queue and end not in came_from:
            atom = queue.popleft()
            for other, _ in neighbors[atom]:
                if other not in came_from and {atom, other} != {start, end}:
                    came_from[other] = atom
                    queue.append(other)
        if end in came_from:
            ring = [end]
            while ring[-1] != start:
                ring.append(came_from[ring[-1]])
            found.add(tuple(sorted(ring)))
    return sorted(found)


# ---- codes -------------------------------------------------------------------------------------------------------

SP, SP2, SP3 = range(3)


def atom_codes(
    molecule: Molecule,
    neighbors: list[list[tuple[int, int]]],
    hydrogens: list[int],
    kinds: list[int],
    chirality: list[int],
) -> list[tuple[int, ...]]:
    """OGB's 9 codes of each atom: positions in OGB's lists of possible values.

    In order: atomic number, chirality, degree with hydrogens, formal charge, hydrogens, radical electrons,
    hybridisation, aromatic, in a ring. Source: https://github.com/snap-stanford/ogb, ogb/utils/features.py.
    """
    in_ring = {atom for ring in molecule.rings for atom in ring}
    return [
        (
            # OGB's lists start at atomic number 1 and at charge -5, hence the offsets.
            ATOMIC_NUMBERS[element] - 1,
            chirality[atom],
            len(neighbors[atom]) + hydrogens[atom],
            molecule.charges[atom] + 5,
            hydrogens[atom],
            0,
            kinds[atom],
            int(molecule.aromatic[atom]),
            int(atom in in_ring),
        )
        for atom, element in enumerate(molecule.elements)
    ]


def hybridizations(molecule: Molecule, neighbors: list[list[tuple[int, int]]]) -> list[int]:
    """0 sp, 1 sp2, 2 sp3; as in RDKit, an N or O next to an sp2 atom is sp2: its lone pair is conjugated."""
    kinds = []
    for atom, element in enumerate(molecule.elements):
        orders = [order for _, order in neighbors[atom]]
        if 3 in orders or (element == "C" and orders.count(2) > 1):
            kinds.append(SP)
        elif molecule.aromatic[atom] or (element != "S" and 2 in orders):
            kinds.append(SP2)
        else:
            kinds.append(SP3)
    return [
        SP2
        if kind == SP3
        and element in "NO"
        and any(kinds[other] == SP2 and molecule.elements[other] != "O" for other, _ in neighbors[atom])
        else kind
        for atom, (kind, element) in enumerate(zip(kinds, molecule.elements, strict=True))
    ]


def bond_codes(molecule: Molecule, kinds: list[int]) -> list[tuple[int, int, int]]:
    """OGB's 3 codes of each bond: type, stereo (always 0 here, none), conjugated.

    Args:
      molecule: with its bonds.
      kinds: hybridisation of each atom; see `hybridizations`.
    """
    pi_neighbors = [0] * len(molecule)  # Neighbours of each atom that have a pi orbital.
    for a, b, _ in molecule.bonds:
        pi_neighbors[a] += kinds[b] != SP3
        pi_neighbors[b] += kinds[a] != SP3
    return [
        (
            order - 1,
            0,
            int(
                kinds[a] != SP3
                and kinds[b] != SP3
                and (order in (1, AROMATIC) or pi_neighbors[a] > 1 or pi_neighbors[b] > 1)
            ),
        )
        for a, b, order in molecule.bonds
    ]
