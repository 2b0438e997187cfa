"""From Parquet files of documents to flat files of token numbers, and what is wrong with files that people have."""

import dataclasses
import hashlib
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from algoperf import registry
from algoperf.data import manifest
from algoperf.spec import UsageError
from workloads.finewebedu_lm import byte_pairs, data, documents, download, preparation

pyarrow = pytest.importorskip("pyarrow")
pytest.importorskip("tiktoken")
from pyarrow import parquet  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]

ODD = ("", None, "Ünïcödé: 数学は楽しい — ½ 🦉\n\n\tx", f"a {byte_pairs.END_OF_TEXT} b", "\x00\x01", " ")


def tokens_of(folder, split):
    return np.fromfile(preparation.tokens_path(folder, split), "<u2")


def ordinary(number):
    return f"Document {number} of some, with the number {number * number} and 数 {number % 7}."


@pytest.fixture
def raw(tmp_path):
    """Three files, the last with odd documents."""
    place = tmp_path / "raw" / documents.PLACE
    texts = [ordinary(number) for number in range(900)]
    documents.write(place / "000_00000.parquet", texts[:500], rows_per_group=100)
    documents.write(place / "001_00000.parquet", [])
    documents.write(place / "002_00000.parquet", [*ODD, *texts[500:]])
    return place


@pytest.fixture
def spec(small):
    return dataclasses.replace(small, num_train_examples=300, num_validation_examples=3)


def with_all_texts(spec, folder):
    """What a plain loop makes of all documents: split -> numbers, in order."""
    encoding = byte_pairs.load(preparation.vocabulary_path(folder))
    found = {"train": [], "validation": []}
    for path in documents.raw_files(folder / "raw"):
        for text in parquet.read_table(path).column("text").to_pylist():
            if text:
                found[documents.split_of(text.encode())] += [
                    *encoding.encode_ordinary(text),
                    encoding.n_vocab - 1,
                ]
    return found


@pytest.fixture
def as_synthetic(monkeypatch, spec):
    """Files that this module writes stand for those of the mini workload."""
    monkeypatch.setattr(data.DATA, "describe", lambda spec: {"of": "a test"})


# ---- the files -------------------------------------------------------------------------------------------------------


def test_every_document_is_encoded_with_an_end_after_it_and_the_split_is_cut(
    spec, raw, tmp_path, as_synthetic
):
    data.prepare(spec, tmp_path, progress=False)
    wanted = with_all_texts(spec, tmp_path)
    for split, size in (("train", 300), ("validation", 3)):
        np.testing.assert_array_equal(tokens_of(tmp_path, split), wanted[split][: size * 17])
    assert not (tmp_path / "parts").exists()
    counts = data.verify(spec, tmp_path, progress=False)
    assert counts["train"]["documents"] + counts["validation"]["documents"] == 900 + len(ODD) - 2
    assert counts["train"]["documents without text left out of all splits"] == 2
    assert counts["train"]["tokens"] == len(wanted["train"])
    encoding = byte_pairs.load(preparation.vocabulary_path(tmp_path))
    whole = encoding.decode(wanted["train"]) + encoding.decode(wanted["validation"])
    for text in ODD[2:]:
        assert text in whole
    assert encoding.n_vocab == spec.model.vocab_size
    end = encoding.n_vocab - 1
    assert sum(split.count(end) for split in wanted.values()) == 900 + len(ODD) - 2


def test_a_hash_of_its_text_decides_where_a_document_belongs():
    texts = [ordinary(number).encode() for number in range(20_000)]
    found = [documents.split_of(text) for text in texts]
    assert 0.8 / 64 < found.count("validation") / len(found) < 1.25 / 64
    for text, split in zip(texts[:500], found):
        is_below = int(hashlib.sha256(text).hexdigest(), 16) >> 224 < 2**32 // 64
        assert split == ("validation" if is_below else "train")


def test_files_have_the_columns_of_the_published_ones(raw):
    schema = parquet.read_schema(raw / "000_00000.parquet")
    kinds = {"language_score": "double", "token_count": "int64", "score": "double", "int_score": "int64"}
    names = ["text", "id", "dump", "url", "file_path", "language", *kinds]
    assert {name: str(schema.field(name).type) for name in schema.names} == {
        name: kinds.get(name, "string") for name in names
    }


# ---- interruptions ---------------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
sys.path.insert(0, {root!r})
from algoperf.data import prepared
from workloads.finewebedu_lm import data, preparation
import pickle
spec = pickle.loads({spec!r})
data.DATA.describe = lambda spec: {{"of": "a test"}}
left, replace = [{after}], os.replace
def counted(*paths, **options):
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    replace(*paths, **options)
os.replace = counted
data.prepare(spec, {folder!r}, progress=False)
"""


def test_killed_three_times_a_preparation_ends_with_the_same_bytes(spec, raw, tmp_path, as_synthetic):
    import pickle

    killed = tmp_path / "killed"
    shutil.copytree(tmp_path / "raw", killed / "raw")
    data.prepare(spec, tmp_path, progress=False)
    # After so many files: within the first raw file, within the second, and while the splits are put together.
    for after in (2, 5, 7):
        code = KILLED.format(root=str(ROOT), spec=pickle.dumps(spec), after=after, folder=str(killed))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert not data.is_ready(spec, killed)
    assert len(list((killed / "parts").rglob("*.json"))) == 3
    data.prepare(spec, killed, progress=False)
    for name in ("train.tokens", "validation.tokens", "vocabulary.bpe", "manifest.json"):
        assert (killed / name).read_bytes() == (tmp_path / name).read_bytes(), name
    assert sorted(path.name for path in killed.iterdir()) == [
        "manifest.json",
        "raw",
        "train.tokens",
        "validation.tokens",
        "vocabulary.bpe",
    ]


# ---- what can be wrong -----------------------------------------------------------------------------------------------


def damaged_end(path):
    path.write_bytes(path.read_bytes()[:-100])


def damaged_page(path):
    content = bytearray(path.read_bytes())
    content[200:4000] = bytes(3800)
    path.write_bytes(content)


def no_text(path):
    parquet.write_table(parquet.read_table(path).drop_columns("text"), path)


def numbers_for_text(path):
    parquet.write_table(pyarrow.table({"text": [1, 2, 3]}), path)


def not_utf8(path):
    bad = pyarrow.array([b"fine", b"\xff\xfe"], pyarrow.binary()).cast(pyarrow.string(), safe=False)
    parquet.write_table(pyarrow.table({"text": bad}), path)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (damaged_end, "is damaged"),
        (damaged_page, "is damaged"),
        (no_text, "has no column 'text', only id, dump"),
        (numbers_for_text, "column 'text' holds int64, not text"),
        (not_utf8, "is damaged"),
        (Path.unlink, "No Parquet files in"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_clear_line(spec, tmp_path, as_synthetic, damage, says):
    place = tmp_path / "raw" / documents.PLACE
    documents.write(place / "000_00000.parquet", [ordinary(number) for number in range(400)])
    damage(place / "000_00000.parquet")
    with pytest.raises(UsageError, match=says) as caught:
        data.prepare(spec, tmp_path, progress=False)
    assert "\n" not in str(caught.value)
    assert str(place) in str(caught.value)
    assert str(caught.value).endswith(f"--dataset=finewebedu_lm_mini --data_dir={tmp_path.parent}")
    assert not (tmp_path / "manifest.json").exists()


def test_other_files_are_encoded_before_a_bad_one_is_complained_about(spec, raw, tmp_path, as_synthetic):
    good = (raw / "002_00000.parquet").read_bytes()
    damaged_page(raw / "002_00000.parquet")
    with pytest.raises(UsageError, match="002_00000"):
        data.prepare(spec, tmp_path, progress=False)
    (raw / "002_00000.parquet").write_bytes(good)
    parts = {path.name for path in (tmp_path / "parts").rglob("*.json")}
    assert parts == {"000_00000.json", "001_00000.json"}
    data.prepare(spec, tmp_path, progress=False)
    assert data.is_ready(spec, tmp_path)


def test_too_few_tokens_are_one_clear_line(spec, raw, tmp_path, as_synthetic):
    with pytest.raises(UsageError, match=r"have [\d,]+ tokens for train; 17,000,000 are needed"):
        data.prepare(dataclasses.replace(spec, num_train_examples=1_000_000), tmp_path, progress=False)


# ---- vocabularies ----------------------------------------------------------------------------------------------------


def test_pieces_are_joined_by_frequency_and_are_the_same_every_time():
    words = byte_pairs.words_of([ordinary(number) for number in range(100)])
    assert words[b" Document"] == 0
    assert words[b" number"] == 100
    pieces = byte_pairs.train(words, 300)
    assert list(pieces.values()) == list(range(300))
    assert pieces == byte_pairs.train(dict(sorted(words.items())), 300)
    assert byte_pairs.train({b"ab": 3, b"bc": 3, b"cd": 4}, 259) == {
        **{bytes([byte]): byte for byte in range(256)},
        b"cd": 256,
        b"ab": 257,
        b"bc": 258,
    }
    with pytest.raises(UsageError, match="257 pieces at most"):
        byte_pairs.train({b"ab": 1}, 300)


def test_pieces_of_a_saved_vocabulary_give_every_text_back(tmp_path):
    words = byte_pairs.words_of([ordinary(number) for number in range(100)])
    path = tmp_path / "vocabulary.bpe"
    byte_pairs.save(path, byte_pairs.train(words, 399))
    encoding = byte_pairs.load(path)
    for text in (ordinary(3), *filter(None, ODD)):
        numbers = encoding.encode_ordinary(text)
        assert encoding.decode(numbers) == text
        assert max(numbers) < 399
    assert len(encoding.encode_ordinary(ordinary(12))) < len(ordinary(12)) / 2
    words_again = [piece for piece in byte_pairs.words_of([ordinary(12), ODD[2]])]
    # Both patterns, that of training and tiktoken's, cut text at the same places.
    joined = [number for word in words_again for number in encoding.encode_ordinary(word.decode())]
    assert joined == encoding.encode_ordinary(ordinary(12)) + encoding.encode_ordinary(ODD[2])


def test_gpt2s_list_of_merges_is_read_and_any_other_file_refused(tmp_path, monkeypatch):
    path = tmp_path / "vocab.bpe"
    with pytest.raises(UsageError, match="is not in"):
        byte_pairs.read_gpt2(path)
    content = "#version: 0.2\nĠ t\nĠt he\nh e\nÃ ©\n"
    path.write_text(content)
    with pytest.raises(UsageError, match="is not GPT-2's"):
        byte_pairs.read_gpt2(path)
    monkeypatch.setattr(byte_pairs, "GPT2_SHA256", hashlib.sha256(content.encode()).hexdigest())
    pieces = byte_pairs.read_gpt2(path)
    # As published: '!' is 0, 'A' 32, the byte 0 188, the space 220.
    assert [pieces[piece] for piece in (b"!", b"A", b"\x00", b" ", b" t", b" the", b"he", "é".encode())] == [
        *(0, 32, 188, 220),
        *range(256, 260),
    ]


# ---- download --------------------------------------------------------------------------------------------------------


def test_the_download_fetches_what_is_missing_with_its_size_and_checksum(tmp_path, monkeypatch):
    fetched = {}
    monkeypatch.setattr(download, "require_disk", lambda folder, num_bytes: fetched.update(bytes=num_bytes))
    monkeypatch.setattr(
        download, "fetch", lambda archive, path, progress: fetched.update({path.name: archive})
    )
    have = tmp_path / "raw" / documents.PLACE / "003_00000.parquet"
    have.parent.mkdir(parents=True)
    have.touch()
    download.download(registry.get("finewebedu_lm"), tmp_path, progress=False)
    names = {f"{number:03d}_00000.parquet" for number in range(14)} - {have.name} | {"vocab.bpe"}
    assert fetched.keys() - {"bytes"} == names
    assert sum(archive.num_bytes for archive in download.archives().values()) == 28_518_193_415 + 456_318
    assert all(len(archive.sha256) == 64 for archive in download.archives().values())
    url = fetched["000_00000.parquet"].url
    assert url.endswith(f"/resolve/{download.REVISION}/sample/10BT/000_00000.parquet")


def test_a_manifest_names_the_files_and_a_changed_one_is_found(small, folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("raw"))
    data.verify(small, copy, progress=False)
    path = preparation.tokens_path(copy, "train")
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    assert manifest.damaged_files(copy, progress=False) == ["train.tokens"]
