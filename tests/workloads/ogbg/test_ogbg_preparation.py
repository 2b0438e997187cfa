"""Text files to arrays: exact content, resumption, and errors that name file and record."""

import dataclasses
import gzip

import numpy as np
import pytest
from raw_molecules import FILES, SMALL, texts, write

from algoperf import spec
from workloads.ogbg import data, preparation, raw_tables


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def prepared(folder, content):
    write(folder, content)
    data.prepare(SMALL, folder, progress=False)


def refusal(folder, content):
    with pytest.raises(spec.UsageError) as caught:
        prepared(folder, content)
    assert not data.is_ready(SMALL, folder)
    assert "dataset_setup.py --dataset=ogbg" in str(caught.value)
    return str(caught.value)


def test_arrays_hold_exactly_what_the_files_say(small_folder):
    content = texts()
    for name in ("nodes", "bonds", "bond_ends", "node_counts", "bond_counts", "train", "validation", "test"):
        wanted = np.array([[int(field) for field in line.split(",")] for line in content[name]])
        np.testing.assert_array_equal(preparation.load(small_folder, name).reshape(wanted.shape), wanted)
    codes = {"": raw_tables.MISSING, "0.0": 0, "1.0": 1}
    labels = [[codes[field] for field in line.split(",")] for line in content["labels"]]
    np.testing.assert_array_equal(preparation.load(small_folder, "labels"), labels)
    assert preparation.load(small_folder, "nodes").dtype == np.uint8


def test_labels_may_be_nan_and_codes_may_have_a_point(tmp_path):
    content = texts()
    content["labels"][3] = "nan,1,0,NaN,1.0"
    content["nodes"][5] = "5.0,0,3.0,5,1,0,2,0,0.0"
    prepared(tmp_path, content)
    np.testing.assert_array_equal(preparation.load(tmp_path, "labels")[3], [-1, 1, 0, -1, 1])
    np.testing.assert_array_equal(preparation.load(tmp_path, "nodes")[5], [5, 0, 3, 5, 1, 0, 2, 0, 0])


def test_verify_counts_and_finds_damage(small_folder, tmp_path):
    counts = data.verify(SMALL, small_folder, progress=False)
    assert {split: found["molecules"] for split, found in counts.items()} == {
        "train": 60,
        "validation": 21,
        "test": 17,
    }
    content = texts()
    assert sum(found["atoms"] for found in counts.values()) == len(content["nodes"])
    assert sum(found["bonds"] for found in counts.values()) == len(content["bonds"])
    labels = sum(field != "" for line in content["labels"] for field in line.split(","))
    assert sum(found["labels"] for found in counts.values()) == labels
    prepared(tmp_path, content)
    path = preparation.array_path(tmp_path, "bonds")
    path.write_bytes(path.read_bytes()[:-1] + b"\x09")
    with pytest.raises(spec.UsageError, match=r"Damaged in .*: bonds.npy. Delete them"):
        data.verify(SMALL, tmp_path, progress=False)
    path.unlink()
    assert not data.is_ready(SMALL, tmp_path)
    data.prepare(SMALL, tmp_path, progress=False)
    data.verify(SMALL, tmp_path, progress=False)


def test_interrupted_preparation_continues_to_the_same_bytes(small_folder, tmp_path, monkeypatch):
    write(tmp_path, texts())
    made, read = [], raw_tables.read

    def stop_at_bonds(table, path, on_bytes):
        if table.name == "bond_ends":
            raise KeyboardInterrupt
        made.append(table.name)
        return read(table, path, on_bytes)

    monkeypatch.setattr(preparation, "num_cores", lambda: 1)
    monkeypatch.setattr(raw_tables, "read", stop_at_bonds)
    with pytest.raises(KeyboardInterrupt):
        data.prepare(SMALL, tmp_path, progress=False)
    assert not data.is_ready(SMALL, tmp_path)
    done = set(made)
    assert {"nodes", "labels"} <= done
    made.clear()
    monkeypatch.setattr(raw_tables, "read", lambda *args: made.append(args[0].name) or read(*args))
    (tmp_path / "nodes.npy.tmp").write_bytes(b"torn")
    (tmp_path / "nodes.npy.tmp").unlink()
    data.prepare(SMALL, tmp_path, progress=False)
    assert not done & set(made), "finished arrays are not made again"
    assert files_of(tmp_path) == files_of(small_folder)
    made.clear()
    data.prepare(SMALL, tmp_path, progress=False)
    assert not made


def test_a_file_that_was_fetched_again_is_parsed_again(tmp_path):
    content = texts()
    broken = content | {"bond_ends": ["9,9", *content["bond_ends"][1:]]}
    assert "ends at atom 9" in refusal(tmp_path, broken)
    prepared(tmp_path, content)
    assert data.is_ready(SMALL, tmp_path)


def test_other_settings_are_not_ready(small_folder):
    assert data.is_ready(SMALL, small_folder)
    for change in (
        {"num_train_examples": 59},
        {"num_validation_examples": 20},
        {"model": {**SMALL.model, "num_outputs": 4}},
    ):
        assert not data.is_ready(dataclasses.replace(SMALL, **change), small_folder)
    assert data.is_ready(dataclasses.replace(SMALL, num_eval_train_examples=5), small_folder)


# ---- refusals --------------------------------------------------------------------------------------------------------


def replaced(name, line, text):
    content = texts()
    content[name][line - 1] = text
    return content


def test_missing_files_are_named(tmp_path):
    content = texts()
    del content["bonds"], content["test"]
    message = refusal(tmp_path, content)
    assert "edge-feat.csv.gz" in message
    assert "test.csv.gz" in message


@pytest.mark.parametrize(
    ("name", "line", "text", "wanted"),
    [
        ("nodes", 7, "5,0,4,5,3,0,x,0,0", "line 7: field 7: invalid value 'x'"),
        ("nodes", 7, "5,0,4,5,3,0,2,0,", "line 7: field 9: invalid value ''"),
        ("nodes", 7, "5,0,4,5,3,0,2,0", "line 7: Expected 9 columns, got 8"),
        ("nodes", 7, "", "line 7: field 1: invalid value ''"),
        ("nodes", 7, "5,0,4,5,3,0,2,0,256", "line 7: field 9 is 256, not a whole number from 0 to 255"),
        ("nodes", 7, "5,0,4,5,3,0,2,0,-1", "line 7: field 9 is -1, not a whole number"),
        ("nodes", 7, "5,0,4,5,3,0,2,0,1.5", "line 7: field 9 is 1.5, not a whole number"),
        ("nodes", 7, "5,0,4,5,3,0,2,0,nan", "line 7: field 9 is nan, not a whole number"),
        ("nodes", 1, "5,0,4", "line 1: Expected 9 columns, got 3"),
        ("labels", 4, "0,1,0,1", "line 4: Expected 5 columns, got 4"),
        ("labels", 4, "0,1,0,1,2", "line 4: field 5 is 2, not a whole number from 0 to 1"),
        ("bond_ends", 2, "0,-3", "line 2: field 2 is -3"),
        ("node_counts", 3, "", "line 3: field 1: invalid value ''"),
        ("train", 2, "98", "line 2: there is no molecule 98; they are numbered from 0 to 97"),
    ],
)
def test_a_bad_field_is_named_by_file_and_line(tmp_path, name, line, text, wanted):
    assert f"{FILES[name]}, {wanted}" in refusal(tmp_path, replaced(name, line, text))


def test_an_empty_line_among_labels_is_missed(tmp_path):
    assert "graph-label.csv.gz has 97 lines, but" in refusal(tmp_path, replaced("labels", 4, ""))


def test_an_edge_to_a_node_that_does_not_exist_is_named(tmp_path):
    content = texts()
    counts = [int(count) for count in content["bond_counts"]]
    graph = next(index for index in range(20, 98) if counts[index])
    line = sum(counts[: graph + 1])  # The last bond of that molecule.
    num_atoms = int(content["node_counts"][graph])
    content["bond_ends"][line - 1] = f"0,{num_atoms}"
    assert (
        f"raw/edge.csv.gz, line {line}: a bond of molecule {graph} ends at atom {num_atoms}, but the molecule has "
        f"{num_atoms} atoms"
    ) in refusal(tmp_path, content)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("nodes", "raw/node-feat.csv.gz has"),
        ("bonds", "raw/edge-feat.csv.gz has"),
        ("bond_ends", "raw/edge.csv.gz has"),
        ("bond_counts", "raw/num-edge-list.csv.gz has 97 lines, but"),
        ("labels", "raw/graph-label.csv.gz has 97 lines, but"),
        ("test", "split/scaffold/test.csv.gz has 16 lines; 17 are expected"),
    ],
)
def test_a_file_that_is_too_short_is_named(tmp_path, name, wanted):
    content = texts()
    content[name].pop()
    assert wanted in refusal(tmp_path, content)


def test_a_molecule_in_two_splits_or_twice_in_one_is_named(tmp_path):
    content = texts()
    twin = content["train"][5]
    assert f"valid.csv.gz, line 3: molecule {twin} is in the train split already" in refusal(
        tmp_path / "two", replaced("validation", 3, twin)
    )
    assert f"train.csv.gz, line 9: molecule {twin} stands there twice" in refusal(
        tmp_path / "one", replaced("train", 9, twin)
    )


def test_damaged_gzip_is_named(tmp_path):
    write(tmp_path, texts())
    path = tmp_path / "raw" / "pcba" / FILES["nodes"]
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"plain text", b"", gzip.compress(b"")):
        path.write_bytes(content)
        with pytest.raises(spec.UsageError, match=r"node-feat\.csv\.gz.*Fetch it again"):
            data.prepare(SMALL, tmp_path, progress=False)
    path.write_bytes(whole)
    data.prepare(SMALL, tmp_path, progress=False)
