"""An invented language for the mini version: documents in English sentence frames with words made from syllables.

What a model can learn from them reaches over several ranges:

- words: a few hundred stems out of syllables, common ones more often than others;
- sentences: number of subject and verb, plurals, tense, pronouns;
- documents: a topic, which chooses most nouns, verbs and adjectives; one tense; two or three people with names that
  hardly another document has, and with numbers of things, both told at first and taken up again later.

The words are the same ones whatever the seed of the documents is.
"""

import bisect
import dataclasses
import itertools
import random
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

VERSION = 1
"""Raise with every change of the text."""

ONSETS = (
    *("b", "br", "d", "dr", "f", "g", "gl", "k", "kr", "l"),
    *("m", "n", "p", "pl", "r", "s", "st", "t", "tr", "v", "z"),
)
VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "oo")
CODAS = ("", "", "", "l", "m", "n", "nd", "r", "rk", "t")

NUM_TOPICS = 12
NOUNS_PER_TOPIC, VERBS_PER_TOPIC, ADJECTIVES_PER_TOPIC, PLACES_PER_TOPIC = 10, 6, 6, 3
COMMON = 8
"""Words of each kind that every topic has."""
COMMON_SHARE = 0.25
"""Probability that a word is one of them."""
MIN_SENTENCES, MAX_SENTENCES = 8, 24


class Draws:
    """Random choices that are the same with every version of Python.

    Args:
      seed: any number.
    """

    def __init__(self, seed: int):
        # `random()` alone is promised never to change.
        self._random = random.Random(seed).random

    def below(self, size: int) -> int:
        """A number from 0 to size - 1."""
        return int(self._random() * size)

    def one_of(self, choices: Sequence[T]) -> T:
        """Each is equally likely."""
        return choices[self.below(len(choices))]

    def common_one_of(self, choices: Sequence[T]) -> T:
        """The first is the most likely: the probability of the n-th falls like 1 / n (Zipf's law)."""
        return choices[bisect.bisect(_zipf(len(choices)), self._random())]

    def happens(self, probability: float) -> bool:
        return self._random() < probability


def _zipf(size: int) -> list[float]:
    """Cumulative probabilities, but for the last."""
    if size not in _ZIPF:
        weights = [1 / (number + 1) for number in range(size)]
        _ZIPF[size] = [value / sum(weights) for value in itertools.accumulate(weights)][:-1]
    return _ZIPF[size]


_ZIPF: dict[int, list[float]] = {}


@dataclasses.dataclass(frozen=True)
class Words:
    """Stems by kind, the most common first."""

    nouns: tuple[str, ...]
    verbs: tuple[str, ...]
    adjectives: tuple[str, ...]
    places: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Person:
    """Somebody in one document."""

    name: str
    pronoun: str
    work: str
    """A noun."""
    number: int
    things: str
    """A noun, of which the person has `number`."""


class Writer:
    """Writes documents, each with its own topic and people.

    Args:
      seed: of the words.
      seed_of_documents: where other documents in the same words are wanted; else the draws go on after the words.
    """

    def __init__(self, seed: int, seed_of_documents: int | None = None):
        self._draws = Draws(seed)
        self._taken: set[str] = set()
        self._common = self._words(COMMON, COMMON, COMMON, COMMON // 2)
        self._topics = [
            self._words(NOUNS_PER_TOPIC, VERBS_PER_TOPIC, ADJECTIVES_PER_TOPIC, PLACES_PER_TOPIC)
            for _ in range(NUM_TOPICS)
        ]
        if seed_of_documents is not None:
            self._draws = Draws(seed_of_documents)

    # ---- words -------------------------------------------------------------------------------------------------------

    def _syllable(self) -> str:
        draws = self._draws
        return draws.one_of(ONSETS) + draws.common_one_of(VOWELS) + draws.one_of(CODAS)

    def _new(self, num_syllables: int) -> str:
        while True:
            word = "".join(self._syllable() for _ in range(num_syllables))
            if word not in self._taken:
                self._taken.add(word)
                return word

    def _words(self, *numbers: int) -> Words:
        return Words(
            *(tuple(self._new(1 + self._draws.below(2)) for _ in range(number)) for number in numbers)
        )

    # ---- documents ---------------------------------------------------------------------------------------------------

    def document(self) -> str:
        """A title, and one to four paragraphs."""
        document = _Document(self._draws, self._draws.one_of(self._topics), self._common, self._name)
        return document.text()

    def _name(self) -> str:
        """Not kept apart from other names: two documents that share one are no harm."""
        name = self._syllable() + self._syllable()
        return name.capitalize() + ("" if self._draws.happens(0.7) else self._draws.one_of(("a", "o", "i")))


class _Document:
    def __init__(self, draws: Draws, topic: Words, common: Words, new_name: Callable[[], str]):
        self._draws, self._topic, self._common = draws, topic, common
        self._is_past = draws.happens(0.5)
        self._people = [
            Person(
                name=new_name(),
                pronoun=draws.one_of(("he", "she")),
                work=self._noun(),
                number=draws.one_of((draws.below(90) + 10, draws.below(900) + 100)),
                things=self._noun(),
            )
            for _ in range(2 + draws.below(2))
        ]
        self._place = draws.one_of(topic.places)
        self._year = 1500 + draws.below(500)
        self._introduced: list[Person] = []
        self._last: Person | None = None
        """Whom a pronoun means."""

    # ---- words of the topic ------------------------------------------------------------------------------------------

    def _word(self, kind: str) -> str:
        source = self._common if self._draws.happens(COMMON_SHARE) else self._topic
        return self._draws.common_one_of(getattr(source, kind))

    def _noun(self) -> str:
        return self._word("nouns")

    def _adjective(self) -> str:
        return self._word("adjectives")

    def _verb(self, is_plural: bool) -> str:
        stem = self._word("verbs")
        return past(stem) if self._is_past else stem if is_plural else with_s(stem)

    def _be(self, is_plural: bool) -> str:
        if self._is_past:
            return "were" if is_plural else "was"
        return "are" if is_plural else "is"

    def _phrase(self) -> tuple[str, bool]:
        """A subject or object and whether it is plural."""
        adjective = f"{self._adjective()} " if self._draws.happens(0.4) else ""
        is_plural = self._draws.happens(0.4)
        noun = with_s(self._noun()) if is_plural else self._noun()
        if is_plural:
            return f"{self._draws.one_of(('the', 'all', 'many', 'these'))} {adjective}{noun}", True
        return f"{self._draws.one_of(('the', 'the', 'every', 'a', 'this'))} {adjective}{noun}", False

    def _somebody(self) -> str:
        """A person's name, or the pronoun of whom the sentence before was about."""
        draws = self._draws
        if self._last is not None and draws.happens(0.4):
            return self._last.pronoun
        self._last = draws.one_of(self._introduced)
        return self._last.name

    # ---- sentences ---------------------------------------------------------------------------------------------------

    def _introduction(self, person: Person) -> str:
        self._introduced.append(person)
        self._last = person
        have = "had" if self._is_past else "has"
        return (
            f"{person.name} {self._be(False)} a {person.work} in {self._place.capitalize()} and {have} {person.number} "
            f"{with_s(person.things)}"
        )

    def _action(self) -> str:
        return f"{self._somebody()} {self._verb(False)} {self._phrase()[0]}"

    def _event(self) -> str:
        subject, is_plural = self._phrase()
        return f"{subject} {self._verb(is_plural)} {self._phrase()[0]}"

    def _state(self) -> str:
        subject, is_plural = self._phrase()
        return f"{subject} {self._be(is_plural)} {self._adjective()}"

    def _possession(self) -> str:
        person = self._draws.one_of(self._introduced)
        self._last = person
        return f"the {person.number} {with_s(person.things)} of {person.name} {self._be(True)} {self._adjective()}"

    def _work(self) -> str:
        person = self._draws.one_of(self._introduced)
        self._last = person
        return f"{person.name}, the {person.work}, {self._verb(False)} {self._phrase()[0]}"

    def _time(self) -> str:
        self._year += 1 + self._draws.below(3)
        return f"in {self._year}, {self._action()}"

    def _where(self) -> str:
        return f"{self._event()} in {self._place.capitalize()}"

    def _both(self) -> str:
        first, second = self._introduced[0], self._introduced[-1]
        self._last = None
        return f"{first.name} and {second.name} {self._verb(True)} {self._phrase()[0]}"

    def _reason(self) -> str:
        return f"because {self._state()}, {self._action()}"

    def _speech(self) -> str:
        sentence = self._state()
        return f'"{sentence[0].upper()}{sentence[1:]}," said {self._draws.one_of(self._introduced).name}'

    def _sentence(self) -> str:
        waiting = self._people[len(self._introduced) :]
        if waiting and (not self._introduced or self._draws.happens(0.35)):
            return self._introduction(waiting[0])
        kinds = [self._action, self._event, self._possession, self._work, self._time, self._state]
        kinds += [self._where, self._reason, self._speech]
        if len(self._introduced) > 1:
            kinds.append(self._both)
        return self._draws.common_one_of(kinds)()

    def text(self) -> str:
        """The whole document."""
        draws = self._draws
        title = f"The {with_s(self._topic.nouns[draws.below(4)])} of {self._place.capitalize()}"
        paragraphs, sentences = [], []
        for _ in range(MIN_SENTENCES + draws.below(MAX_SENTENCES - MIN_SENTENCES + 1)):
            sentence = self._sentence()
            sentences.append(f"{sentence[0].upper()}{sentence[1:]}.")
            if len(sentences) > 3 and draws.happens(0.25):
                paragraphs.append(" ".join(sentences))
                sentences = []
        paragraphs.append(" ".join(sentences))
        return "\n\n".join(part for part in [title, *paragraphs] if part)


def with_s(stem: str) -> str:
    """The plural of a noun, or the third person of a verb.

    >>> with_s("gart"), with_s("mas")
    ('garts', 'mases')
    """
    return f"{stem}es" if stem.endswith(("s", "z")) else f"{stem}s"


def past(stem: str) -> str:
    """The past of a verb.

    >>> past("gart"), past("dree")
    ('garted', 'dreed')
    """
    return f"{stem}d" if stem.endswith("e") else f"{stem}ed"
