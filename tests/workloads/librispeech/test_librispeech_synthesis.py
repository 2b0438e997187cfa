"""The synthetic speech of the mini workloads: deterministic, in the real format, with unseen speakers."""

import dataclasses
import itertools

import numpy as np
import pytest
import soundfile
from librispeech_trees import small_spec

from algoperf import registry
from algoperf.data import manifest
from algoperf.spec import UsageError
from workloads.librispeech import corpus, lexicon, speech, synthesis
from workloads.librispeech.phonemes import PHONEMES

CHECKSUM = "09eb7d2d48cef876c6849668ff227a8acc23d5498380e429e83894af86800e20"


def files_of(raw):
    return {path.relative_to(raw): path.read_bytes() for path in sorted(raw.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def tree(folder):
    """Subset -> its utterances."""
    return {subset: corpus.read_subset(folder / "raw", subset) for subset in corpus.SUBSETS}


def test_names_texts_and_samples_are_the_same_on_every_machine(small):
    assert synthesis.checksum(small) == CHECKSUM


def test_recordings_hold_the_samples_that_were_made(small, tree):
    chapter = synthesis.plan(small)[0]
    made = list(synthesis.utterances(chapter, synthesis.counts(small)[chapter.subset], 40_000))
    for (name, text, samples), utterance in zip(made, tree[chapter.subset], strict=False):
        assert (name, text) == (utterance.name, utterance.text)
        found, rate = soundfile.read(utterance.path, dtype="int16")
        assert rate == 16_000
        np.testing.assert_array_equal(found, samples)


def test_every_subset_has_its_share(small, tree):
    assert {subset: len(found) for subset, found in tree.items()} == synthesis.counts(small)


def test_utterances_last_half_a_second_to_two_and_a_half(tree):
    lengths = [soundfile.info(one.path).frames for found in tree.values() for one in found]
    assert 8_000 <= min(lengths) < 12_000
    assert 25_000 < max(lengths) <= 40_000


def test_sentences_have_one_to_five_words(tree):
    lengths = {len(one.text.split()) for found in tree.values() for one in found}
    assert lengths == {1, 2, 3, 4, 5}


def test_no_speaker_is_in_two_subsets():
    speakers = {}
    for chapter in synthesis.plan(registry.get("librispeech_conformer_mini")):
        speakers.setdefault(chapter.speaker, set()).add(chapter.subset)
    assert all(len(subsets) == 1 for subsets in speakers.values())
    assert len(speakers) > 80


def test_every_target_can_be_aligned(folder):
    found = manifest.read(folder)["subsets"]
    assert {entry["unalignable"] for entry in found.values()} == {0}
    assert {entry["dropped_long_audio"] + entry["dropped_long_transcript"] for entry in found.values()} == {0}


def test_other_subsets_are_noisier():
    rooms = {
        is_clean: [speech.Room.draw(np.random.default_rng(seed), is_clean) for seed in range(50)]
        for is_clean in (True, False)
    }
    assert max(room.noise for room in rooms[True]) < min(room.noise for room in rooms[False])
    strength = {is_clean: np.mean([abs(room.gains).sum() for room in own]) for is_clean, own in rooms.items()}
    assert strength[True] < strength[False]


def test_the_tokenizer_subset_has_every_word():
    spec = registry.get("librispeech_conformer_mini")
    size = synthesis.counts(spec)[corpus.TOKENIZER_SUBSET]
    read = [word for place in range(size) for word in synthesis._word_list(place, size) or ()]
    assert read == list(lexicon.vocabulary())


def test_interrupted_synthesis_continues_and_gives_the_same_bytes(small, folder, tmp_path, monkeypatch):
    write, written = synthesis._write_chapter, []

    def interrupted(raw, chapter, *arguments):
        if len(written) == 4:
            raise KeyboardInterrupt
        written.append(chapter)
        write(raw, chapter, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(synthesis, "num_cores", lambda: 1)
        patch.setattr(synthesis, "_write_chapter", interrupted)
        with pytest.raises(KeyboardInterrupt):
            synthesis.synthesize(small, tmp_path, progress=False)
    synthesis.synthesize(small, tmp_path, progress=False)
    assert files_of(tmp_path / "raw") == files_of(folder / "raw")


def test_speech_of_other_settings_is_written_anew(tmp_path):
    few = {"num_train_examples": 3, "num_validation_examples": 2, "num_test_examples": 1}
    synthesis.synthesize(small_spec(**few), tmp_path, progress=False)
    before = files_of(tmp_path / "raw")
    synthesis.synthesize(small_spec(**few), tmp_path, progress=False)
    assert files_of(tmp_path / "raw") == before
    synthesis.synthesize(small_spec(**few | {"num_test_examples": 2}), tmp_path, progress=False)
    assert len(corpus.read_subset(tmp_path / "raw", "test-clean")) == 2


def test_too_few_examples_for_the_subsets_are_refused():
    with pytest.raises(UsageError, match="train needs at least 3 examples, got 2"):
        synthesis.counts(small_spec(num_train_examples=2))


def test_a_length_that_no_sentence_fits_is_refused(small):
    chapter = synthesis.plan(small)[-1]
    with pytest.raises(UsageError, match="max_audio_samples=900"):
        next(synthesis.utterances(chapter, 10, 900))


# ---- words and sounds --------------------------------------------------------------------------------------------


def test_every_word_is_made_of_known_phonemes():
    words = lexicon.vocabulary()
    assert len(set(words)) == len(words) > 100
    for word in words:
        assert lexicon.pronunciation(word), word
        assert set(lexicon.pronunciation(word)) <= set(PHONEMES), word


def test_words_sound_different():
    pronunciations = [lexicon.pronunciation(word) for word in lexicon.vocabulary()]
    assert len(set(pronunciations)) == len(pronunciations)


def test_sentences_follow_the_grammar():
    classes = {word: name for name, words in lexicon.WORDS.items() for word in words.split()}
    rng = np.random.default_rng(0)
    found = [lexicon.sentence(rng) for _ in range(300)]
    for words in found:
        names = ["", *(classes[word] for word in words)]
        assert all(after in lexicon.FOLLOWERS[before] for before, after in itertools.pairwise(names))
    assert {word for words in found for word in words} > set(lexicon.WORDS["determiner"].split())


def spectrum(phoneme, voice, seed=0):
    """Mean power spectrum of a phoneme held for 0.3 s, at 31.25 Hz a bin."""
    room = dataclasses.replace(ROOM, noise=0.0)
    segments = [(segment, 0.3) for segment in PHONEMES[phoneme]]
    samples = speech.synthesize(segments, voice, room, np.random.default_rng(seed)).astype(float)
    frames = np.lib.stride_tricks.sliding_window_view(samples, 512)[1_000:-1_000:200]
    return (abs(np.fft.rfft(frames * np.hanning(512))) ** 2).mean(axis=0)


ROOM = speech.Room(0.0, 0.0, np.array([100]), np.array([0.0]))
MAN = speech.Voice(pitch_hz=100.0, formant_scale=1.0, rate=1.0, tilt=0.8, breath=0.02)


def centroid(power, low, high):
    bins = np.arange(len(power)) * 31.25
    own = (bins >= low) & (bins < high)
    return (bins * power)[own].sum() / power[own].sum()


def test_vowels_differ_in_their_formants():
    high, low = spectrum("EE", MAN), spectrum("A", MAN)
    assert centroid(high, 150, 1_000) < centroid(low, 150, 1_000)  # First formant: 270 and 730 Hz.
    assert centroid(high, 800, 3_000) > centroid(low, 800, 3_000)  # Second: 2,290 and 1,090 Hz.


def test_a_shorter_vocal_tract_raises_formants():
    child = dataclasses.replace(MAN, formant_scale=1.2)
    assert centroid(spectrum("A", child), 300, 2_500) > 1.08 * centroid(spectrum("A", MAN), 300, 2_500)


def test_fricatives_are_noise_at_their_constriction():
    assert centroid(spectrum("S", MAN), 0, 8_000) > 5_000
    assert 2_500 < centroid(spectrum("SH", MAN), 0, 8_000) < 4_000


def test_pitch_is_the_voices():
    segments = [(PHONEMES["A"][0], 0.5)]
    samples = speech.synthesize(segments, MAN, ROOM, np.random.default_rng(0)).astype(float)[2_000:6_000]
    found = np.correlate(samples, samples, "full")[len(samples) - 1 :]
    period = 100 + int(np.argmax(found[100:300]))
    assert 85 < 16_000 / period < 120


def test_formants_glide_from_one_phoneme_to_the_next():
    segments = [(PHONEMES["A"][0], 0.1), (PHONEMES["EE"][0], 0.1)]
    second = speech.make_tracks(segments, MAN).formants[:, 1]
    assert np.all(np.diff(second) > -1e-6)
    assert np.diff(second).max() < (second[-1] - second[0]) / 10  # No step.


def test_a_resonator_passes_dc_and_a_smoother_keeps_constants():
    b, c = speech._resonators(np.array([[500.0]]), np.array([70.0]))[0, 0]
    response = abs(
        (1 - b - c)
        / (
            1
            - b * np.exp(-1j * np.array([0, 500 / 8_000 * np.pi]))
            - c * np.exp(-2j * np.array([0, 500 / 8_000 * np.pi]))
        )
    )
    assert response[0] == pytest.approx(1)
    assert response[1] > 5
    np.testing.assert_allclose(speech._smoothed(np.full((30, 2), 3.5), 0.02), 3.5)
