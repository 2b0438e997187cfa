"""The raw files of the mini workloads: synthetic speech in LibriSpeech's tree and file formats.

Every chapter has one speaker and one room. No speaker is in two subsets, so speakers of validation and test do not
occur in training. Subsets called 'other' are noisier and more reverberant, because the real ones are harder.
"""

import dataclasses
import hashlib
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from algoperf import files
from algoperf.data.prepared import SYNTHESIS, num_test_examples, of_instance
from algoperf.machine import num_cores
from algoperf.spec import UsageError
from algoperf.workload import WorkloadSpec
from workloads.librispeech import corpus, lexicon
from workloads.librispeech.corpus import OFFICIAL_COUNTS, SAMPLE_RATE, SUBSETS

VERSION = 2  # Increase it when the content changes; existing folders are then written again.
# Fixed: another seed would change the speech that the mini targets were measured on.
SEED = 2015
MIN_SAMPLES = SAMPLE_RATE // 2
# With fewer, SentencePiece may find too few different pieces for the vocabulary.
MIN_TOKENIZER_UTTERANCES = 200
UTTERANCES_PER_CHAPTER = 6
CHAPTERS_PER_SPEAKER = 2
# Sentences that are too long are drawn again; the limit catches settings in which none fits.
_TRIES = 200


def counts(spec: WorkloadSpec) -> dict[str, int]:
    """Subset -> number of utterances: the spec's counts, divided among subsets about as in the real data.

    The subset that trains the tokenizer gets at least `MIN_TOKENIZER_UTTERANCES`, if there are enough.
    """
    sizes = {
        "train": spec.num_train_examples,
        "validation": spec.num_validation_examples,
        "test": num_test_examples(spec),
    }
    found: dict[str, int] = {}
    for split, size in sizes.items():
        own = [subset for subset, of in SUBSETS.items() if of == split]
        official = np.cumsum([OFFICIAL_COUNTS[subset] for subset in own])
        limits = np.rint(size * official / official[-1]).astype(int)
        if corpus.TOKENIZER_SUBSET in own:
            limits[0] = max(limits[0], min(MIN_TOKENIZER_UTTERANCES, size // len(own)))
        shares = np.maximum(np.diff(limits, prepend=0), 1)
        # The last subset absorbs the rounding, so that the counts add up to the split's size.
        shares[-1] += size - shares.sum()
        if shares[-1] < 1:
            raise UsageError(f"{spec.name}: {split} needs at least {len(own)} examples, got {size}.")
        found |= dict(zip(own, map(int, shares), strict=True))
    return found


def describe(spec: WorkloadSpec) -> dict[str, Any]:
    """What identifies the content, for the manifest."""
    return {
        "version": VERSION,
        "seed": SEED,
        "max_audio_samples": spec.data.max_audio_samples,
        "utterances": counts(spec),
        **of_instance(spec),
    }


@dataclasses.dataclass(frozen=True)
class Chapter:
    """Consecutive utterances of one speaker in one room."""

    subset: str
    speaker: int
    number: int
    first: int
    """Number of its first utterance in the subset."""
    size: int

    @property
    def name(self) -> str:
        return f"{self.speaker}-{self.number}"


def plan(spec: WorkloadSpec) -> list[Chapter]:
    """All chapters; speakers and chapters are numbered consecutively over all subsets."""
    chapters: list[Chapter] = []
    speaker = 80
    for subset, size in counts(spec).items():
        for place, first in enumerate(range(0, size, UTTERANCES_PER_CHAPTER)):
            speaker += place % CHAPTERS_PER_SPEAKER == 0
            number = 1_000 + len(chapters)
            chapters.append(
                Chapter(subset, speaker, number, first, min(UTTERANCES_PER_CHAPTER, size - first))
            )
    return chapters


def utterances(
    chapter: Chapter, num_in_subset: int, max_samples: int, seed: int = SEED
) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yields (name, text, int16 samples) of a chapter's utterances; depends only on the arguments."""
    from workloads.librispeech import speech

    # Separate seeds for speaker, chapter and utterance: a chapter can be made alone, in any order and
    # process.
    voice = speech.Voice.draw(np.random.default_rng([seed, 1, chapter.speaker]))
    room = speech.Room.draw(np.random.default_rng([seed, 2, chapter.number]), "clean" in chapter.subset)
    for place in range(chapter.size):
        rng = np.random.default_rng([seed, 3, chapter.number, place])
        wanted = None
        if chapter.subset == corpus.TOKENIZER_SUBSET:
            wanted = _word_list(chapter.first + place, num_in_subset)
        for _ in range(_TRIES):
            words = wanted or lexicon.sentence(rng)
            segments = speech.segments_of([lexicon.pronunciation(word) for word in words], voice, rng)
            if speech.num_samples(segments) <= max_samples:
                break
            wanted = wanted[:-1] if wanted else None
        else:
            raise UsageError(
                f"No sentence of the synthetic speech fits in max_audio_samples={max_samples:,}; take more."
            )
        segments = list(speech.lengthened(segments, min(MIN_SAMPLES, max_samples)))
        yield f"{chapter.name}-{place:04d}", " ".join(words), speech.synthesize(segments, voice, room, rng)


def _word_list(place: int, num_in_subset: int) -> list[str] | None:
    """The next three words of the vocabulary, for at most half of the utterances; None once all words were used.

    The tokenizer learns its pieces from this text, so it should contain every word, and must contain every letter.
    """
    words = lexicon.vocabulary()[3 * place : 3 * place + 3]
    return list(words) if words and place < (num_in_subset + 1) // 2 else None


def synthesize(spec: WorkloadSpec, folder: Path, progress: bool = True, seed: int = SEED) -> None:
    """Writes `raw/LibriSpeech`; continues where an earlier call stopped, chapter by chapter."""
    raw = folder / "raw"
    note = raw / SYNTHESIS
    description = describe(spec)
    if files.read_json_or_none(note) != description:
        # Speech of another size or version must not be used for this one.
        shutil.rmtree(raw / corpus.ROOT, ignore_errors=True)
        raw.mkdir(parents=True, exist_ok=True)
        files.write_json(note, description)
    todo = [chapter for chapter in plan(spec) if not _folder(raw, chapter).is_dir()]
    sizes = counts(spec)

    def write(chapter: Chapter) -> int:
        _write_chapter(raw, chapter, sizes[chapter.subset], spec.data.max_audio_samples, seed)
        return chapter.size

    total = sum(chapter.size for chapter in todo)
    with (
        tqdm(total=total, desc="synthesize", unit="utterance", disable=not progress) as bar,
        ThreadPoolExecutor(num_cores()) as pool,  # The loops over samples release Python's lock.
    ):
        for size in pool.map(write, todo):
            bar.update(size)


def _folder(raw: Path, chapter: Chapter) -> Path:
    return corpus.subset_folder(raw, chapter.subset) / str(chapter.speaker) / str(chapter.number)


def _write_chapter(raw: Path, chapter: Chapter, num_in_subset: int, max_samples: int, seed: int) -> None:
    import soundfile

    folder = _folder(raw, chapter)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(folder) as unfinished:
        unfinished.mkdir()
        lines = []
        for name, text, samples in utterances(chapter, num_in_subset, max_samples, seed):
            soundfile.write(unfinished / f"{name}.flac", samples, SAMPLE_RATE, subtype="PCM_16")
            lines.append(f"{name} {text}\n")
        (unfinished / f"{chapter.name}.trans.txt").write_text("".join(lines), encoding="utf-8")


def checksum(spec: WorkloadSpec) -> str:
    """SHA-256 of names, texts and samples; FLAC files differ between versions of the encoder, these do not."""
    digest = hashlib.sha256()
    sizes = counts(spec)
    for chapter in plan(spec):
        for name, text, samples in utterances(chapter, sizes[chapter.subset], spec.data.max_audio_samples):
            digest.update(f"{name}\t{text}\n".encode())
            digest.update(samples.astype("<i2").tobytes())
    return digest.hexdigest()
