"""Day files become packed rows: whole, in blocks, after an interruption, or not at all with a clear error."""

import dataclasses
import gzip
import json
import shutil

import numpy as np
import pytest
from criteo_lines import SMALL, plain_example, random_lines, write_days

from algoperf import registry, spec
from workloads.criteo1tb import data, download, shards, sources
from workloads.criteo1tb.rows import layout_of

FULL = registry.get("criteo1tb")
LAYOUT = layout_of(FULL.data.bucket_counts)
LINES_PER_DAY = (400, 300, 300, 120)
DAYS = [random_lines(size, seed) for seed, size in enumerate(LINES_PER_DAY)]
# Real raw files in small: not a mini workload, so nothing is synthesized.
SPEC = dataclasses.replace(
    FULL,
    num_train_examples=sum(LINES_PER_DAY[:-1]),
    num_eval_train_examples=96,
    num_validation_examples=70,
    num_test_examples=50,
    data={**FULL.data, "num_days": 4},
)


@pytest.fixture
def folder(tmp_path):
    write_days(tmp_path / "raw", DAYS)
    return tmp_path


def prepared_bytes(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.rows"))}


@pytest.fixture(scope="session")
def wanted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("criteo-whole")
    write_days(folder / "raw", DAYS)
    data.prepare(SPEC, folder, progress=False)
    return prepared_bytes(folder) | {"manifest.json": (folder / "manifest.json").read_bytes()}


def read_all(path, **options):
    return np.concatenate([rows.copy() for rows in sources.read_rows(path, LAYOUT, **options)])


# ---- streaming -------------------------------------------------------------------------------------------------


def test_rows_do_not_depend_on_where_blocks_end(folder, monkeypatch):
    path = folder / "raw" / "day_0.gz"
    whole = read_all(path)
    assert len(whole) == 400
    monkeypatch.setattr(sources, "ROWS_AT_A_TIME", 7)
    for block_bytes in (500, 777, 4_096):
        np.testing.assert_array_equal(read_all(path, block_bytes=block_bytes), whole)
    inputs, targets = np.zeros((400, 39), np.float32), np.zeros((400, 1), np.float32)
    LAYOUT.unpack(whole, inputs, targets)
    for row in (0, 1, 399):
        example, label = plain_example(DAYS[0][row])
        np.testing.assert_array_equal(inputs[row], example)
        assert targets[row, 0] == label


def test_text_files_pieces_and_gzip_of_several_members_give_the_same_rows(folder, tmp_path):
    raw = folder / "raw"
    lines = [line + b"\n" for line in DAYS[0]]
    (tmp_path / "plain").write_bytes(b"".join(lines).rstrip(b"\n"))  # The last line lacks its end.
    (tmp_path / "members.gz").write_bytes(
        b"".join(gzip.compress(b"".join(part)) for part in (lines[:150], lines[150:]))
    )
    whole = read_all(raw / "day_0.gz")
    np.testing.assert_array_equal(read_all(tmp_path / "plain"), whole)
    np.testing.assert_array_equal(read_all(tmp_path / "members.gz"), whole)


def test_an_algoperf_installations_split_files_are_prepared_too(folder, wanted):
    raw = folder / "raw"
    for day, lines in enumerate(DAYS):
        (raw / f"day_{day}.gz").unlink()
        for piece in range(0, len(lines), 33):
            (raw / f"day_{day}_{piece // 33:02d}").write_bytes(b"\n".join([*lines[piece : piece + 33], b""]))
    data.prepare(SPEC, folder, progress=False)
    assert prepared_bytes(folder).items() <= wanted.items()
    (raw / "day_1_03").unlink()
    with pytest.raises(spec.UsageError, match=r"A piece is missing between .*day_1_00 and day_1_09"):
        sources.find_days(raw, 4)


# ---- interruptions -----------------------------------------------------------------------------------------------


def test_an_interrupted_preparation_continues_to_the_same_bytes(folder, wanted, monkeypatch):
    read_rows, calls = sources.read_rows, []

    def interrupted(path, layout):
        calls.append(path.name)
        if len(calls) == 3:
            yield next(read_rows(path, layout))
            raise KeyboardInterrupt
        yield from read_rows(path, layout)

    monkeypatch.setattr(sources, "read_rows", interrupted)
    with pytest.raises(KeyboardInterrupt):
        data.prepare(SPEC, folder, progress=False)
    assert not data.is_ready(SPEC, folder)
    assert not (folder / "day_02.rows").exists()
    data.prepare(SPEC, folder, progress=False)
    assert calls == ["day_0.gz", "day_1.gz", "day_2.gz", "day_2.gz", "day_3.gz"], (
        "finished days are not repeated"
    )
    assert prepared_bytes(folder) | {"manifest.json": (folder / "manifest.json").read_bytes()} == wanted
    data.prepare(SPEC, folder, progress=False)
    assert len(calls) == 5, "nothing is done where everything is in place"
    (folder / "day_01.rows").unlink()
    data.prepare(SPEC, folder, progress=False)
    assert calls[5:] == ["day_1.gz"], "one lost file is made again alone"
    assert prepared_bytes(folder).items() <= wanted.items()


def test_worker_processes_give_the_same_bytes(folder, wanted, monkeypatch):
    monkeypatch.setattr(shards, "MAX_BYTES_IN_PROCESS", 0)
    data.prepare(SPEC, folder, progress=False)
    assert prepared_bytes(folder).items() <= wanted.items()


def test_a_day_whose_raw_file_changed_is_converted_again(folder, wanted, monkeypatch):
    monkeypatch.setattr(shards, "_convert_days", convert_but_one(shards._convert_days))
    with pytest.raises(spec.UsageError, match="stopped"):
        data.prepare(SPEC, folder, progress=False)
    other = random_lines(400, seed=77)
    write_days(folder / "raw", [other, *DAYS[1:]])
    monkeypatch.undo()
    data.prepare(SPEC, folder, progress=False)
    found = prepared_bytes(folder)
    assert found["day_00.rows"] != wanted["day_00.rows"]
    assert found["day_01.rows"] == wanted["day_01.rows"]


def convert_but_one(convert):
    def stopped(folder, days, *rest):
        convert(folder, days[:-1], *rest)
        raise spec.UsageError("stopped")

    return stopped


def test_damage_after_preparation_is_found(folder):
    data.prepare(SPEC, folder, progress=False)
    assert data.verify(SPEC, folder, progress=False) == {
        "train": {"rows": 1_000},
        "test": {"rows": 50},
        "validation": {"rows": 70},
    }
    path = folder / "day_01.rows"
    content = bytearray(path.read_bytes())
    content[1234] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        spec.UsageError, match=r"Damaged in .*: day_01.rows\. Delete them, then: python datasets"
    ):
        data.verify(SPEC, folder, progress=False)
    path.unlink()
    assert not data.is_ready(SPEC, folder)
    with pytest.raises(spec.UsageError, match="No prepared data for 'criteo1tb'"):
        data.train_stream(SPEC, folder, 0, 8)
    data.prepare(SPEC, folder, progress=False)
    data.verify(SPEC, folder, progress=False)


def test_other_settings_are_not_taken_for_ready(folder):
    data.prepare(SPEC, folder, progress=False)
    assert data.is_ready(SPEC, folder)
    assert not data.is_ready(dataclasses.replace(SPEC, num_train_examples=999), folder)
    buckets = (5, *SPEC.data.bucket_counts[1:])
    assert not data.is_ready(dataclasses.replace(SPEC, data={**SPEC.data, "bucket_counts": buckets}), folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["rows"] == list(LINES_PER_DAY)


# ---- refusals --------------------------------------------------------------------------------------------------


def test_a_day_file_with_a_short_line_is_refused_by_file_and_line(folder):
    lines = [*DAYS[1][:123], DAYS[1][123].rsplit(b"\t", 1)[0], *DAYS[1][124:]]
    write_days(folder / "raw", [DAYS[0], lines, *DAYS[2:]])
    with pytest.raises(spec.UsageError, match=r"day_1\.gz, line 124: has 39 tab-separated fields, not 40"):
        data.prepare(SPEC, folder, progress=False)
    assert not data.is_ready(SPEC, folder)


def test_a_corrupt_gzip_block_and_a_cut_file_are_refused_by_file(folder):
    path = folder / "raw" / "day_2.gz"
    good = path.read_bytes()
    corrupt = bytearray(good)
    corrupt[len(good) // 2 : len(good) // 2 + 64] = bytes(64)
    for content in (bytes(corrupt), good[: len(good) // 2], b"no gzip at all"):
        path.write_bytes(content)
        with pytest.raises(spec.UsageError, match=r"day_2\.gz.*(damaged somewhere after line|line \d+)"):
            data.prepare(SPEC, folder, progress=False)
    path.write_bytes(good)
    data.prepare(SPEC, folder, progress=False)


def test_a_line_without_end_is_refused(tmp_path):
    (tmp_path / "day_0").write_bytes(b"0\t" * 1_000)
    with pytest.raises(spec.UsageError, match=r"line 1: is longer than 512 bytes"):
        read_all(tmp_path / "day_0", block_bytes=512)


def test_days_that_are_too_short_are_refused_with_all_counts(folder):
    write_days(folder / "raw", [*DAYS[:3], DAYS[3][:-1]])
    with pytest.raises(spec.UsageError, match=r"day 3 in .* have 119 lines; 120 are expected.*day 0: 400"):
        data.prepare(SPEC, folder, progress=False)
    write_days(folder / "raw", [DAYS[0][:-1], *DAYS[1:]])
    with pytest.raises(spec.UsageError, match=r"days 0 to 2 in .* have 999 lines; 1,000 are expected"):
        data.prepare(SPEC, folder, progress=False)
    write_days(folder / "raw", DAYS)
    data.prepare(SPEC, folder, progress=False)


def test_a_full_disk_is_noticed_before_anything_is_written(folder, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(spec.UsageError, match=r"This needs 0\.0 GB in .*; only 0\.0 GB are free"):
        data.prepare(SPEC, folder, progress=False)
    assert not prepared_bytes(folder)


def test_missing_raw_files_are_named_and_download_says_what_to_do(folder):
    download.download(SPEC, folder)
    (folder / "raw" / "day_2.gz").unlink()
    with pytest.raises(spec.UsageError, match=r"for day 2 of 4.*day_N_00"):
        data.prepare(SPEC, folder, progress=False)
    with pytest.raises(spec.UsageError, match="accept the terms") as caught:
        download.download(FULL, folder)
    assert "day_0.gz to day_23.gz" in str(caught.value)
    assert "507 GB" in str(caught.value)
    assert str(folder / "raw") in str(caught.value)
    assert SMALL.is_mini
