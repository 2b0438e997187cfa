"""Helpers for tests of the LibriSpeech pipeline: a small spec, and trees written by hand."""

import dataclasses

import numpy as np
import soundfile

from algoperf import registry
from workloads.librispeech import corpus

CONFIG = {
    "vocab_size": 14,
    "max_audio_samples": 8_000,
    "max_transcript_chars": 30,
    "max_target_length": 40,
}
TEXTS = ("BAD CAB", "A CAD", "DAB A CAB", "FAD ACED", "BEAD FACE", "DEAF BEE")


def small_spec(**facts):
    """librispeech_conformer_mini with speech that is made in a second."""
    full = registry.get("librispeech_conformer_mini")
    sizes = {"num_train_examples": 60, "num_validation_examples": 9, "num_test_examples": 7}
    sizes |= {"num_eval_train_examples": 10, **facts}
    return dataclasses.replace(full, model={**full.model.to_dict(), "vocab_size": 32}, **sizes)


def samples_of(seed, size):
    return np.random.default_rng(seed).integers(-2_000, 2_000, size).astype(np.int16)


def write_utterance(chapter, number, samples, **options):
    speaker, book = chapter.parent.name, chapter.name
    chapter.mkdir(parents=True, exist_ok=True)
    path = chapter / f"{speaker}-{book}-{number:04d}.flac"
    soundfile.write(path, samples, options.get("rate", 16_000), subtype=options.get("subtype", "PCM_16"))
    return path


def write_tree(raw, speakers=("9", "10"), num_utterances=3):
    """Two speakers with one chapter each in every subset; returns subset -> {name: (text, samples)}."""
    found = {}
    for place, subset in enumerate(corpus.SUBSETS):
        found[subset] = {}
        for speaker in speakers:
            chapter = corpus.subset_folder(raw, subset) / f"{speaker}{place}" / "77"
            lines = []
            for number in range(num_utterances):
                text = TEXTS[len(found[subset]) % len(TEXTS)]
                samples = samples_of([place, number, int(speaker)], 7_000 + 100 * number)
                path = write_utterance(chapter, number, samples)
                found[subset][path.stem] = text, samples
                lines.append(f"{path.stem} {text}\n")
            (chapter / f"{chapter.parent.name}-77.trans.txt").write_text("".join(lines))
    return found


def counts(tree):
    """What `preparation.prepare` takes besides folder and configuration, for a tree of which nothing is dropped."""
    raw = {subset: len(utterances) for subset, utterances in tree.items()}
    kept = {
        split: sum(raw[subset] for subset, of in corpus.SUBSETS.items() if of == split)
        for split in corpus.SPLITS
    }
    return raw, kept
