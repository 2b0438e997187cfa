"""From the tree of FLAC and transcript files to flat arrays: what is kept, what is refused, and after interruptions."""

import json

import numpy as np
import pytest
import soundfile
from librispeech_trees import CONFIG, counts, samples_of, write_tree, write_utterance

from algoperf.data import manifest
from algoperf.spec import UsageError
from workloads.librispeech import corpus, flac, preparation, utterances
from workloads.librispeech.utterances import Utterances


@pytest.fixture
def tree(tmp_path):
    return write_tree(tmp_path / "raw")


def prepare(folder, tree, **config):
    preparation.prepare(folder, CONFIG | config, *counts(tree), progress=False)


def chapter_of(folder, subset="dev-clean"):
    return next(corpus.subset_folder(folder / "raw", subset).glob("*/*"))


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_every_sample_comes_back(tmp_path, tree):
    prepare(tmp_path, tree)
    for split in corpus.SPLITS:
        found = Utterances(tmp_path, split)
        expected = {}
        for subset in (subset for subset, of in corpus.SUBSETS.items() if of == split):
            expected |= {name: samples for name, (_, samples) in sorted(tree[subset].items())}
        assert [name.decode() for name in found.names] == list(expected)  # Sorted within each subset.
        for index, samples in enumerate(expected.values()):
            np.testing.assert_array_equal(found.samples(index), samples)


def test_targets_are_the_transcript_and_end_of_sentence(tmp_path, tree):
    from workloads.librispeech import tokenizer

    prepare(tmp_path, tree)
    found = Utterances(tmp_path, "test")
    text = tokenizer.load(tmp_path / preparation.TOKENIZER)
    for index, name in enumerate(found.names):
        tokens = found.tokens(index)
        assert tokens[-1] == tokenizer.EOS_ID
        assert text.decode([tokens]) == [tree["test-clean"][name.decode()][0]]


def test_the_filter_keeps_what_equals_a_limit(tmp_path):
    tree = write_tree(tmp_path / "raw")
    chapter = chapter_of(tmp_path)
    limit = CONFIG["max_audio_samples"]
    longest_text = ("ABCDE " * 5)[: CONFIG["max_transcript_chars"]].replace(" ", "A")
    extra = {10: ("AB", limit), 11: ("AB", limit + 1), 12: (longest_text, 500), 13: (longest_text + "A", 500)}
    with next(chapter.glob("*.trans.txt")).open("a") as file:
        for number, (text, size) in extra.items():
            path = write_utterance(chapter, number, samples_of(number, size))
            file.write(f"{path.stem} {text}\n")
    raw, kept = counts(tree)
    raw["dev-clean"] += 4
    kept["validation"] += 2
    preparation.prepare(tmp_path, CONFIG, raw, kept, progress=False)
    names = Utterances(tmp_path, "validation").names.tolist()
    stem = f"{chapter.parent.name}-{chapter.name}"
    is_kept = {number: f"{stem}-{number:04d}".encode() in names for number in extra}
    assert is_kept == {10: True, 11: False, 12: True, 13: False}
    found = manifest.read(tmp_path)["subsets"]["dev-clean"]
    assert found["dropped_long_audio"] == found["dropped_long_transcript"] == 1
    assert found["utterances"] == raw["dev-clean"] - 2


def test_targets_that_cannot_be_aligned_are_counted(tmp_path, tree):
    chapter = chapter_of(tmp_path)
    write_utterance(chapter, 0, samples_of(0, 700))  # 5 frames, 2 after subsampling; the text has 7 letters.
    prepare(tmp_path, tree)
    found = {name: entry["unalignable"] for name, entry in manifest.read(tmp_path)["subsets"].items()}
    assert found == dict.fromkeys(corpus.SUBSETS, 0) | {"dev-clean": 1}


# ---- refusal -----------------------------------------------------------------------------------------------------


def remove_transcript(chapter):
    path = next(chapter.glob("*.trans.txt"))
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def remove_all_transcripts(chapter):
    next(chapter.glob("*.trans.txt")).unlink()


def remove_recording(chapter):
    sorted(chapter.glob("*.flac"))[-1].unlink()


def empty_transcript(chapter):
    path = next(chapter.glob("*.trans.txt"))
    path.write_text(path.read_text() + "90-77-0009\n")


def second_transcript(chapter):
    path = next(chapter.glob("*.trans.txt"))
    path.write_text(path.read_text() + path.read_text().splitlines()[0])


def cut_recording(chapter):
    path = sorted(chapter.glob("*.flac"))[-1]
    path.write_bytes(path.read_bytes()[:-500])


def flip_bytes(chapter):
    path = sorted(chapter.glob("*.flac"))[-1]
    content = bytearray(path.read_bytes())
    content[-900:-890] = bytes(10)
    path.write_bytes(content)


def overwrite_header(chapter):
    sorted(chapter.glob("*.flac"))[-1].write_bytes(b"no sound in here")


def other_rate(chapter):
    write_utterance(chapter, 2, samples_of(0, 900), rate=8_000)


def stereo(chapter):
    write_utterance(chapter, 2, np.stack([samples_of(0, 900)] * 2, axis=1))


def more_bits(chapter):
    write_utterance(chapter, 2, samples_of(0, 900), subtype="PCM_24")


def unknown_length(chapter):
    path = sorted(chapter.glob("*.flac"))[-1]
    content = bytearray(path.read_bytes())
    # Of STREAMINFO, 36 bits for the number of samples begin in the lower half of byte 13 (RFC 9639, section 8.2).
    content[8 + 13] &= 0xF0
    content[8 + 14 : 8 + 18] = bytes(4)
    path.write_bytes(content)


def latin_1_transcript(chapter):
    path = next(chapter.glob("*.trans.txt"))
    path.write_bytes(path.read_bytes().replace(b"A", b"\xc4", 1))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove_transcript, r"dev-clean.*no transcript of \d+-77-0002\.flac.*Unpack"),
        (remove_all_transcripts, r"no transcript of \d+-77-0000\.flac and 2 others"),
        (remove_recording, r"lacks \d+-77-0002\.flac, of which there is a transcript"),
        (empty_transcript, r"trans\.txt, line 4: '90-77-0009' is not '<utterance id> <text>'"),
        (second_transcript, r"trans\.txt, line 4: a second transcript of \d+-77-0000"),
        (latin_1_transcript, r"trans\.txt is not UTF-8 text \(byte \d+\)\. Unpack"),
        (unknown_length, r"\d+-77-0002\.flac does not say how many samples it has.*Unpack"),
        (cut_recording, r"\d+-77-0002\.flac is (damaged|not a sound)"),
        (flip_bytes, r"\d+-77-0002\.flac is (damaged|not a sound)"),
        (overwrite_header, r"\d+-77-0002\.flac is not a sound FLAC file"),
        (other_rate, r"\d+-77-0002\.flac is FLAC, 8,000 Hz, 1 channels"),
        (stereo, r"\d+-77-0002\.flac is FLAC, 16,000 Hz, 2 channels"),
        (more_bits, r"\d+-77-0002\.flac is .*PCM_24"),
    ],
)
def test_damage_is_refused_by_file_and_record(tmp_path, tree, damage, message):
    damage(chapter_of(tmp_path))
    with pytest.raises(UsageError, match=message):
        prepare(tmp_path, tree)
    assert manifest.read(tmp_path) is None


def test_all_bad_files_are_looked_for_before_preparation_ends(tmp_path, tree):
    for subset in ("train-clean-100", "dev-clean", "test-clean"):
        flip_bytes(chapter_of(tmp_path, subset))
    with pytest.raises(UsageError, match=r"^3 raw files cannot be used\. ") as raised:
        prepare(tmp_path, tree)
    for subset in ("train-clean-100", "dev-clean", "test-clean"):
        assert f"{chapter_of(tmp_path, subset)}/" in str(raised.value)
    for subset in ("dev-clean", "dev-other"):
        latin_1_transcript(chapter_of(tmp_path, subset))
    with pytest.raises(UsageError, match=r"^2 raw files .*dev-clean.*\.trans\.txt is not UTF-8.*dev-other"):
        prepare(tmp_path, tree)


def test_changed_samples_are_found_even_where_each_frame_is_sound(tmp_path):
    first, second = (write_utterance(tmp_path / "1" / "2", n, samples_of(n, 900)) for n in (0, 1))
    content, other = bytearray(first.read_bytes()), second.read_bytes()
    content[26:42] = other[26:42]  # The checksum of other samples.
    first.write_bytes(content)
    with pytest.raises(UsageError, match=r"1-2-0000\.flac is damaged"):
        flac.read(first)


def test_a_file_without_checksum_is_read(tmp_path):
    path = write_utterance(tmp_path / "1" / "2", 0, samples_of(0, 900))
    content = bytearray(path.read_bytes())
    content[26:42] = bytes(16)
    path.write_bytes(content)
    np.testing.assert_array_equal(flac.read(path), samples_of(0, 900))


def test_wav_is_no_flac(tmp_path):
    soundfile.write(tmp_path / "a.wav", samples_of(0, 900), 16_000)
    with pytest.raises(UsageError, match="is WAV"):
        flac.read(tmp_path / "a.wav")


def test_an_empty_subset_is_refused(tmp_path, tree):
    corpus.subset_folder(tmp_path / "raw", "dev-other").rename(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="No utterances of 'dev-other'"):
        prepare(tmp_path, tree)


def test_a_missing_chapter_is_refused(tmp_path, tree):
    chapter_of(tmp_path, "train-clean-360").rename(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="has 3 utterances; 'train-clean-360' has 6"):
        prepare(tmp_path, tree)


def test_another_number_after_the_filter_is_refused(tmp_path, tree):
    with pytest.raises(UsageError, match=r"After the filter, train has 0 utterances .* 18 are expected"):
        prepare(tmp_path, tree, max_audio_samples=1_000)


def test_a_vocabulary_that_the_text_cannot_fill_is_refused(tmp_path, tree):
    with pytest.raises(UsageError, match="cannot make 1,000 pieces"):
        prepare(tmp_path, tree, vocab_size=1_000)


def test_a_target_that_is_too_long_is_refused(tmp_path, tree):
    with pytest.raises(UsageError, match=r"The transcript of .*\.flac has \d+ tokens; at most 3"):
        prepare(tmp_path, tree, max_target_length=3)


# ---- interruption ------------------------------------------------------------------------------------------------


def test_interrupted_preparation_continues_and_gives_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "UTTERANCES_PER_SHARD", 2)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        tree = write_tree(folder / "raw")
    prepare(whole, tree)
    read, decoded = flac.read, []

    def counted(path):
        if len(decoded) == 15:
            raise KeyboardInterrupt
        decoded.append(path)
        return read(path)

    with monkeypatch.context() as patch:
        patch.setattr(flac, "read", counted)
        patch.setattr(preparation, "num_cores", lambda: 1)
        with pytest.raises(KeyboardInterrupt):
            prepare(broken, tree)
        assert not preparation.is_complete(broken, CONFIG)
        again = list(decoded)
        decoded[:] = ["", ""]  # From now on there is no interruption: 15 is passed in the first call only.
        patch.setattr(flac, "read", lambda path: decoded.append(path) or read(path))
        prepare(broken, tree)
    assert len(set(again) & set(decoded)) <= 1  # At most the shard that was being written.
    assert files_of(broken) == files_of(whole)
    assert not (broken / "parts").exists()


def test_a_changed_recording_is_converted_again_and_the_rest_is_not(tmp_path, tree, monkeypatch):
    monkeypatch.setattr(preparation, "UTTERANCES_PER_SHARD", 2)
    raw, kept = counts(tree)
    with pytest.raises(UsageError, match="After the filter"):
        preparation.prepare(tmp_path, CONFIG, raw, kept | {"test": 1}, progress=False)
    path = write_utterance(chapter_of(tmp_path), 1, samples_of(5, 5_000))
    read, decoded = flac.read, []
    monkeypatch.setattr(flac, "read", lambda name: decoded.append(name) or read(name))
    prepare(tmp_path, tree)
    assert str(path) in decoded
    assert len(decoded) == 2
    found = Utterances(tmp_path, "validation")
    np.testing.assert_array_equal(
        found.samples(found.names.tolist().index(path.stem.encode())), samples_of(5, 5_000)
    )


def test_prepared_data_of_other_settings_are_not_taken(tmp_path, tree):
    prepare(tmp_path, tree)
    assert preparation.is_complete(tmp_path, CONFIG)
    assert not preparation.is_complete(tmp_path, CONFIG | {"vocab_size": 13})
    prepare(tmp_path, tree, vocab_size=13)
    assert preparation.is_complete(tmp_path, CONFIG | {"vocab_size": 13})


def test_the_manifest_lists_every_file(tmp_path, tree):
    prepare(tmp_path, tree)
    content = json.loads((tmp_path / "manifest.json").read_text())
    assert set(content["files"]) == set(files_of(tmp_path)) - {"manifest.json"}
    assert manifest.damaged_files(tmp_path, progress=False) == []


def test_split_tables_are_read_again_when_data_are_prepared_anew(tmp_path, tree):
    prepare(tmp_path, tree)
    before = utterances.load_split(tmp_path, "train")
    assert utterances.load_split(tmp_path, "train") is before
    prepare(tmp_path, tree, vocab_size=13)
    assert utterances.load_split(tmp_path, "train") is not before
