"""Synthesizes the mini workload's corpus: a fixed set of sentence pairs, in the file formats of the real data.

Validation and test use word combinations (verb and object, adjective and noun, the two parts of a compound,
the two digits of a number) that never occur in training, so a model must compose words to translate them.
"""

import functools
import hashlib
import shutil
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from algoperf.data.prepared import is_synthesized, mark_synthesized, named_instance
from workloads.wmt import corpus, lexicon, sentences
from workloads.wmt.corpus import Pair
from workloads.wmt.sentences import Combination

VERSION = 3  # Raise with every change of the text: existing folders are then written again.
# Fixed: another seed would change the corpus that the mini targets were measured on.
SEED = 2017
HELD_OUT_PERCENT = {"validation": 10, "test": 10}
NUM_TRAIN_SHARDS = 4
MAX_CHARACTERS = 80  # Longest sentence in either language, so that it fits in the 32 tokens of a row.


def describe(num_pairs: dict[str, int], instance: str = "") -> dict[str, Any]:
    """Everything that the synthesized text depends on; `instance` as in `WorkloadSpec.data_instance`."""
    return {"version": VERSION, "seed": SEED, **num_pairs, **named_instance(instance)}


def split_of_combination(combination: Combination) -> str:
    """The split that may use a combination of words; a hash decides, so the answer never changes."""
    bucket = zlib.crc32(" ".join(combination).encode()) % 100
    for split, percent in HELD_OUT_PERCENT.items():
        if bucket < percent:
            return split
        bucket -= percent
    return "train"


def split_of_sentence(combinations: Iterable[Combination]) -> str | None:
    """The one held-out split that owns combinations of the sentence, 'train' if none does, None if both do."""
    owners = {split_of_combination(combination) for combination in combinations} - {"train"}
    return None if len(owners) > 1 else owners.pop() if owners else "train"


def make_corpus(num_pairs: dict[str, int], progress: bool = False, seed: int = SEED) -> dict[str, list[Pair]]:
    """Split -> distinct sentence pairs; every word of validation and test, or both its parts, is in training."""
    sampler = sentences.Sampler(seed)
    found: dict[str, list[Pair]] = {split: [] for split in num_pairs}
    seen: set[str] = set()
    known: set[str] = set()
    with tqdm(total=sum(num_pairs.values()), desc="synthesize", unit="pair", disable=not progress) as bar:
        while any(len(found[split]) < size for split, size in num_pairs.items()):
            pair = sampler.pair()
            if max(map(len, pair)) > MAX_CHARACTERS:
                continue
            split = split_of_sentence(sampler.combinations)
            if split is None or len(found[split]) == num_pairs[split] or pair[0] in seen:
                continue
            if split != "train" and len(found["train"]) < num_pairs["train"]:
                # Held-out sentences are drawn last, because `is_known` needs all words of the training text.
                continue
            if split == "train":
                learn(pair, known)
            elif not is_known(pair, known):
                continue
            seen.add(pair[0])
            found[split].append(pair)
            bar.update()
    return found


@functools.cache
def parts(word: str) -> tuple[str, str] | None:
    """The two words in a number of two digits or in a German compound, None for any other word.

    >>> parts("einundzwanzig"), parts("Gartentüren"), parts("Gartens")
    (('ein', 'zwanzig'), ('Garten', 'türen'), None)
    """
    lowered = word.lower()
    for tens, english in lexicon.TENS.items():
        if lowered.endswith(f"und{tens}"):
            return lowered.removesuffix(f"und{tens}"), tens
        if lowered.startswith(f"{english}-"):
            return english, lowered.removeprefix(f"{english}-")
    for modifier in lexicon.MODIFIERS:
        head = word.removeprefix(modifier)
        if head != word and any(head.startswith(noun.german.lower()) for noun in lexicon.HEADS):
            return modifier, head
    return None


def bare_words(sentence: str) -> list[str]:
    return [word.strip(".,?") for word in sentence.split()]


def learn(pair: Pair, known: set[str]) -> None:
    """Adds the words of a pair, and the parts of its compounds and numbers, to `known`."""
    for word in (word for sentence in pair for word in bare_words(sentence)):
        known.update((word, *(parts(word) or ())))


def is_known(pair: Pair, known: set[str]) -> bool:
    """Whether every word, or else both its parts, are in `known`."""
    return all(
        word in known or known.issuperset(parts(word) or (word,))
        for sentence in pair
        for word in bare_words(sentence)
    )


def synthesize(
    folder: Path, num_pairs: dict[str, int], progress: bool = True, seed: int = SEED, instance: str = ""
) -> None:
    """Writes `folder/raw` in the layout of the real data (see `corpus`), unless the same text is there already."""
    raw = folder / "raw"
    description = describe(num_pairs, instance)
    if is_synthesized(raw, description):
        return
    shutil.rmtree(raw, ignore_errors=True)
    found = make_corpus(num_pairs, progress, seed)
    for dataset in dict.fromkeys(corpus.DATASET_OF_SPLIT.values()):
        own = {split: pairs for split, pairs in found.items() if corpus.DATASET_OF_SPLIT[split] == dataset}
        shards = NUM_TRAIN_SHARDS if "train" in own else None
        corpus.write_dataset(
            raw, dataset, {split: _numbered(pairs) for split, pairs in own.items()}, shards, progress=False
        )
    mark_synthesized(raw, description, checksum(found))


def _numbered(pairs: list[Pair]) -> Any:
    def examples(builder: Any) -> Iterator[tuple[int, Pair]]:
        del builder
        return iter(enumerate(pairs))

    return examples


def checksum(found: dict[str, list[Pair]]) -> str:
    """SHA-256 over all sentences in order."""
    digest = hashlib.sha256()
    for split in sorted(found):
        for german, english in found[split]:
            digest.update(f"{split}\t{german}\t{english}\n".encode())
    return digest.hexdigest()
