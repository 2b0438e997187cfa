"""Molecules of the mini workload: chemistry, scaffolds per split, labels that follow from the graph."""

import dataclasses
import gzip
import hashlib
import json
from collections import Counter

import networkx
import numpy as np
import pytest
from raw_molecules import FILES, MINI, plain_graphs

from algoperf import registry, spec
from workloads.ogbg import data, molecules, properties, scaffolds, synthesis


@pytest.fixture(scope="session")
def plain(mini_folder):
    return plain_graphs(mini_folder)


def properties_of(smiles):
    molecule = molecules.parse(smiles)
    neighbors = molecule.neighbors()
    return properties.Properties(molecule, neighbors, molecule.hydrogens(neighbors))


# ---- the text ----------------------------------------------------------------------------------------------------


def test_the_mini_molecules_are_the_same_everywhere(mini_folder):
    digest = hashlib.sha256()
    for name in (
        "nodes",
        "labels",
        "bonds",
        "bond_ends",
        "node_counts",
        "bond_counts",
        "train",
        "validation",
        "test",
    ):
        digest.update(gzip.decompress((mini_folder / "raw/pcba" / FILES[name]).read_bytes()))
    assert digest.hexdigest() == json.loads((mini_folder / "raw/synthesis.json").read_text())["sha256"]
    assert digest.hexdigest() == "eee8752ccc7c072253ac83892c7d46607fe458fdd743c76d5c0e9fc23f9a79d5", (
        "raise synthesis.VERSION with every change of the text"
    )


def test_files_are_the_same_bytes_every_time_and_made_once(mini_folder, tmp_path):
    data.synthesize(MINI, tmp_path, progress=False)
    for file in FILES.values():
        assert (tmp_path / "raw/pcba" / file).read_bytes() == (mini_folder / "raw/pcba" / file).read_bytes()
    marker = tmp_path / "raw/synthesis.json"
    before = marker.stat().st_mtime_ns
    data.synthesize(MINI, tmp_path, progress=False)
    assert marker.stat().st_mtime_ns == before
    fewer = dataclasses.replace(MINI, num_test_examples=9)
    data.synthesize(fewer, tmp_path, progress=False)
    data.prepare(fewer, tmp_path, progress=False)
    assert data.is_ready(fewer, tmp_path)
    assert not data.is_ready(MINI, tmp_path)


def test_more_tasks_than_there_are_are_refused(tmp_path):
    many = dataclasses.replace(MINI, model={**MINI.model, "num_outputs": 128})
    with pytest.raises(spec.UsageError, match="24 tasks; num_outputs is 128"):
        data.synthesize(many, tmp_path, progress=False)


# ---- chemistry ---------------------------------------------------------------------------------------------------


def test_codes_of_a_known_molecule_are_those_of_the_release():
    # Nicotinamide by RDKit's properties: atomic number, chirality, degree, charge, hydrogens, radicals,
    # hybridisation, aromatic, in a ring; bond type, stereo, conjugated.
    molecule = molecules.parse("c1cc(C(=O)N)cnc1")
    neighbors = molecule.neighbors()
    hydrogens = molecule.hydrogens(neighbors)
    kinds = molecules.hybridizations(molecule, neighbors)
    ring_carbon = (5, 0, 3, 5, 1, 0, 1, 1, 1)
    assert molecules.atom_codes(molecule, neighbors, hydrogens, kinds, [0] * 9) == [
        ring_carbon,
        ring_carbon,
        (5, 0, 3, 5, 0, 0, 1, 1, 1),
        (5, 0, 3, 5, 0, 0, 1, 0, 0),
        (7, 0, 1, 5, 0, 0, 1, 0, 0),
        (6, 0, 3, 5, 2, 0, 1, 0, 0),
        ring_carbon,
        (6, 0, 2, 5, 0, 0, 1, 1, 1),
        ring_carbon,
    ]
    codes = dict(
        zip([bond[:2] for bond in molecule.bonds], molecules.bond_codes(molecule, kinds), strict=True)
    )
    assert codes[3, 4] == (1, 0, 1)  # C=O
    assert codes[2, 3] == codes[3, 5] == (0, 0, 1)
    assert Counter(codes.values()) == {(3, 0, 1): 6, (0, 0, 1): 2, (1, 0, 1): 1}


@pytest.mark.parametrize(
    ("smiles", "formula"),
    [
        ("c1ccc2ccccc2c1", {"C": 10, "H": 8}),
        ("c1cnc2[nH]ccc2c1", {"C": 7, "N": 2, "H": 6}),
        ("CC(=O)OC", {"C": 3, "O": 2, "H": 6}),
        ("CS(=O)(=O)N", {"C": 1, "S": 1, "O": 2, "N": 1, "H": 5}),
        ("C[N+](=O)[O-]", {"C": 1, "N": 1, "O": 2, "H": 3}),
        ("C(F)(F)(Cl)Br", {"C": 1, "F": 2, "Cl": 1, "Br": 1}),
        ("CC#N", {"C": 2, "N": 1, "H": 3}),
        ("O=C1CCCN1", {"C": 4, "N": 1, "O": 1, "H": 7}),
    ],
)
def test_hydrogens_fill_up_valences(smiles, formula):
    molecule = molecules.parse(smiles)
    found = Counter(molecule.elements) + Counter(H=sum(molecule.hydrogens(molecule.neighbors())))
    assert found == formula


def test_impossible_molecules_are_refused():
    crowded = molecules.parse("CC(C)(C)(C)C")
    with pytest.raises(ValueError, match=r"Atom 1 \(C\) .* has too many bonds"):
        crowded.hydrogens(crowded.neighbors())
    with pytest.raises(ValueError, match="'C@' is not made of"):
        molecules.parse("C@")


def test_rings_are_the_smallest_ones():
    assert [len(ring) for ring in molecules.parse("c1ccc2[nH]ccc2c1").rings] == [6, 5]
    assert not molecules.parse("CC(C)C").rings


def test_molecules_are_connected_and_within_limits(plain):
    graphs, _ = plain
    sizes = [len(graph.nodes) for graph in graphs]
    assert 14 < np.mean(sizes) < 19
    assert max(sizes) <= scaffolds.MAX_ATOMS
    assert max(len(graph.edges) for graph in graphs) <= 2 * scaffolds.MAX_BONDS
    for graph in graphs:
        net = networkx.Graph(zip(graph.senders.tolist(), graph.receivers.tolist(), strict=True))
        assert networkx.is_connected(net)
        assert len(net) == len(graph.nodes)
        assert 2 * net.number_of_edges() == len(graph.edges), "no bond stands twice"
        bonds = np.array([net.degree[atom] for atom in range(len(net))])
        np.testing.assert_array_equal(graph.nodes[:, 2], bonds + graph.nodes[:, 4])
        rings = {atom for cycle in networkx.cycle_basis(net) for atom in cycle}
        np.testing.assert_array_equal(np.flatnonzero(graph.nodes[:, 8]), sorted(rings))


def scaffold_hash(graph):
    """Of what is left without the acyclic ends, by networkx."""
    net = networkx.Graph()
    for atom, codes in enumerate(graph.nodes):
        net.add_node(atom, label=f"{codes[0]} {codes[7]}")
    for a, b, codes in zip(graph.senders, graph.receivers, graph.edges, strict=True):
        net.add_edge(a, b, label=f"{codes[0]}")
    while ends := [atom for atom, degree in net.degree if degree == 1]:
        net.remove_nodes_from(ends)
    return networkx.weisfeiler_lehman_graph_hash(net, "label", "label", iterations=8)


def test_validation_and_test_have_their_own_scaffolds(plain):
    graphs, splits = plain
    found = {
        split: {scaffold_hash(graphs[number]) for number in numbers} for split, numbers in splits.items()
    }
    assert all(len(hashes) > 20 for hashes in found.values())
    assert not found["train"] & found["validation"]
    assert not found["train"] & found["test"]
    assert not found["validation"] & found["test"]


def test_the_same_scaffold_has_one_key_and_others_have_another():
    keys = [
        scaffolds.scaffold_key(molecules.parse(smiles)) for smiles in ("c1ccncc1", "Oc1ccncc1CC", "n1ccccc1")
    ]
    assert len(set(keys)) == 1
    others = ["c1ccccc1", "c1cncnc1", "C1CCNCC1", "c1ccncc1-c1ccccc1".replace("-", "")]
    assert len({keys[0], *(scaffolds.scaffold_key(molecules.parse(smiles)) for smiles in others)}) == 5


# ---- labels ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "yes", "no"),
    [
        ("sulphur", "c1ccsc1", "c1ccoc1"),
        ("aryl_halogen", "c1ccccc1Cl", "c1ccccc1CCl"),
        ("amide", "CC(=O)NC", "CC(=O)CN"),
        ("acid_or_ester", "CC(=O)O", "CC(=O)N"),
        ("hydroxyl", "CCO", "CC(=O)O"),
        ("amine", "CN(C)C", "CC(=O)N"),
        ("pyridine_nitrogen", "c1ccncc1", "c1cc[nH]c1"),
        ("five_ring_with_two_hetero_atoms", "c1cscn1", "c1ccsc1"),
        ("fused_rings", "c1ccc2ccccc2c1", "c1ccccc1c1ccccc1"),
        ("many_aromatic_rings", "c1ccc2ccccc2c1c1ccccc1", "c1ccccc1c1ccccc1"),
        ("many_hetero_atoms", "C(F)(F)(F)C(F)(F)OCOC(F)F", "C(F)(F)(F)C(F)OCC"),
        ("many_rotatable_bonds", "CCCCCCCCC", "CCCCCCCC"),
        ("many_donors", "NCC(O)CN", "NCCCN"),
        ("aryl_ether", "c1ccccc1OC", "c1ccccc1COC"),
        ("oily", "CCCCCCCCCCCCC", "CCCC"),
        ("long", "CCCCCCCCCCCCC", "CCCCCCCCCCCC"),
        ("ortho_substituents", "c1cccc(C)c1C", "c1ccc(C)cc1C"),
        ("para_substituents", "Cc1ccc(C)cc1", "Cc1cccc(C)c1"),
        ("donor_near_acceptor", "NCCO", "NCCCO"),
        ("hydroxyl_near_halogen", "OCCF", "OCCCCCF"),
        ("amine_away_from_aromatic_rings", "c1ccccc1CCCN", "c1ccccc1CCN"),
        ("amide_and_aryl_halogen", "c1cc(F)ccc1C(=O)N", "c1ccccc1C(=O)N"),
        ("either_one_hydroxyl_or_one_carbonyl", "CC(=O)C", "OCC(=O)C"),
        ("sulphonyl_or_nitro", "CS(=O)(=O)C", "CSC"),
    ],
)
def test_tasks_tell_molecules_apart(task, yes, no):
    assert properties.TASKS[task](properties_of(yes)) is True
    assert properties.TASKS[task](properties_of(no)) is False


def test_every_task_is_tested_and_asked():
    tested = [mark.args[1] for mark in test_tasks_tell_molecules_apart.pytestmark]
    assert [case[0] for case in tested[0]] == list(properties.TASKS)
    assert registry.get("ogbg_mini").model.num_outputs == len(properties.TASKS)


def test_properties_do_not_depend_on_the_order_of_atoms():
    rng = np.random.default_rng(0)
    maker = scaffolds.MoleculeMaker("train", rng)
    for _ in range(50):
        molecule = maker.make()
        answers = []
        for one in (molecule, synthesis._shuffled(molecule, rng)):
            neighbors = one.neighbors()
            found = properties.Properties(one, neighbors, one.hydrogens(neighbors))
            answers.append([task(found) for task in properties.TASKS.values()])
        assert answers[0] == answers[1]


def test_labels_are_imbalanced_sometimes_missing_and_seldom_wrong():
    rng = np.random.default_rng(0)
    answers = rng.random((20_000, 24)) < rng.uniform(0.03, 0.45, 24)
    labels = synthesis.observe(answers)
    is_missing = labels == -1
    assert (is_missing.mean(axis=0) > 0.18).all()
    assert (is_missing.mean(axis=0) < 0.62).all()
    positive = np.where(is_missing, np.nan, labels)
    np.testing.assert_allclose(np.nanmean(positive, axis=0), answers.mean(axis=0), atol=0.02)
    assert (positive[answers] == 0).mean() < 0.05
    right = (labels == answers)[~is_missing].mean()
    assert 0.95 < right < 0.995


def test_shares_of_positive_labels_lie_between_2_and_50_percent(plain):
    graphs, _ = plain
    targets, weights = (
        np.array([getattr(graph, name) for graph in graphs]) for name in ("targets", "weights")
    )
    shares = targets.sum(axis=0) / weights.sum(axis=0)
    assert (shares > 0.02).all(), shares
    assert (shares < 0.5).all(), shares
