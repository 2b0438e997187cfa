"""Words of the synthetic speech, their grammar and their pronunciation.

A sentence is a chain in which the next word depends only on the last one (a bigram grammar): word classes determine
which words can follow, and fixed random affinities between words make some pairs frequent.
"""

import functools

import numpy as np

SEED = 1201

WORDS = {
    "determiner": "THE A THIS THAT HIS HER",
    "pronoun": "HE SHE WE IT THEM",
    "contraction": "IT'S HE'S DON'T CAN'T LET'S",
    "adjective": "BIG RED SAD HOT WET OLD THIN DEEP GREEN COLD SHARP SOFT BLACK GOOD COOL SWEET",
    "noun": (
        "MAN DOG CAT FISH TREE MOON SUN SHIP ROOM BOOK FOOT HAND BED CUP KING FROG DUCK HEN HILL ROCK RIVER WATER "
        "GARDEN DINNER FOREST SISTER NUMBER WINTER RABBIT BASKET MARKET DOCTOR LETTER BUTTON VALLEY CHICKEN"
    ),
    "verb": "SEES NEEDS WANTS HAS GETS SENDS TOOK SOLD LOST HELD MET KEEPS HELPS LIFTS DROPS HITS HUNTS VISITS ZIPS",
    "preposition": "IN ON AT UNDER WITH FROM OVER FOR",
    "adverb": "NOW NOT TODAY SOON UP YET",
}

# Class -> possible next classes with their weights. '' is the start of a sentence.
FOLLOWERS = {
    "": {"determiner": 6, "pronoun": 5, "contraction": 2, "adjective": 1, "noun": 3, "verb": 1},
    "determiner": {"adjective": 2, "noun": 4},
    "pronoun": {"verb": 5, "contraction": 1, "adverb": 1},
    "contraction": {"verb": 2, "adjective": 2, "determiner": 2, "adverb": 1},
    "adjective": {"noun": 8, "adverb": 1},
    "noun": {"verb": 5, "preposition": 3, "adverb": 1},
    "verb": {"determiner": 4, "noun": 3, "adjective": 2, "preposition": 2, "pronoun": 1},
    "preposition": {"determiner": 4, "noun": 3, "pronoun": 1},
    "adverb": {"preposition": 2, "determiner": 2, "noun": 1},
}

LENGTH_SHARES = (2, 4, 6, 5, 3)
"""Relative frequencies of sentences with 1, 2, ... words."""

# Letters -> phoneme, for letters that do not stand for themselves; the first match is used.
_SPELLINGS = {
    **{letters: letters for letters in ("SH", "CH", "TH", "EE", "OO")},
    **{"CK": "K", "C": "K", "LL": "L", "TT": "T", "BB": "B", "NN": "N", "EY": "EE", "'": ""},
}


@functools.cache
def vocabulary() -> tuple[str, ...]:
    """All words."""
    return tuple(word for words in WORDS.values() for word in words.split())


@functools.cache
def pronunciation(word: str) -> tuple[str, ...]:
    """Phonemes of a word: one per letter or pair of letters.

    >>> pronunciation("CHICKEN"), pronunciation("DON'T")
    (('CH', 'I', 'K', 'E', 'N'), ('D', 'O', 'N', 'T'))
    """
    phonemes = []
    while word:
        letters = next((letters for letters in _SPELLINGS if word.startswith(letters)), word[0])
        phonemes.append(_SPELLINGS.get(letters, letters))
        word = word[len(letters) :]
    return tuple(phoneme for phoneme in phonemes if phoneme)


@functools.cache
def _chances() -> np.ndarray:
    """(words + 1, words) cumulative probabilities of the next word; the last row is for the start."""
    classes = [name for name, words in WORDS.items() for _ in words.split()]
    sizes = {name: len(words.split()) for name, words in WORDS.items()}
    # Cubed, so that a few pairs are frequent and most are rare: something for a model to learn.
    affinities = 0.05 + np.random.default_rng(SEED).random((len(classes) + 1, len(classes))) ** 3
    shares = np.array(
        [[FOLLOWERS[last].get(name, 0) / sizes[name] for name in classes] for last in (*classes, "")]
    )
    sums = np.cumsum(shares * affinities, axis=1)
    return sums / sums[:, -1:]


def sentence(rng: np.random.Generator) -> list[str]:
    """A random sentence of 1 to 5 words."""
    lengths = np.cumsum(LENGTH_SHARES) / sum(LENGTH_SHARES)
    words: list[str] = []
    last = -1
    for _ in range(1 + int(np.searchsorted(lengths, rng.random(), side="right"))):
        last = int(np.searchsorted(_chances()[last], rng.random(), side="right"))
        words.append(vocabulary()[last])
    return words
