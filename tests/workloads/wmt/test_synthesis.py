import doctest
import importlib

import pytest

from algoperf import registry
from algoperf.data.prepared import num_examples
from workloads.wmt import grammar, lexicon, sentences, synthesis
from workloads.wmt.grammar import Clause


@pytest.fixture(scope="module")
def found():
    """The corpus of wmt_mini."""
    return synthesis.make_corpus(num_examples(registry.get("wmt_mini")))


@pytest.mark.slow
def test_the_text_is_the_one_that_targets_were_set_with(found):
    assert synthesis.checksum(found) == "4143cc76a198d35d96cb67f5e12a88e8ffbac636f7e74df6c820e0b38c2afe93"


@pytest.mark.slow
def test_splits_have_their_sizes_and_share_no_sentence(found):
    spec = registry.get("wmt_mini")
    assert {split: len(pairs) for split, pairs in found.items()} == num_examples(spec)
    german = [pair[0] for pairs in found.values() for pair in pairs]
    assert len(set(german)) == len(german)


@pytest.mark.slow
def test_held_out_words_or_their_parts_are_known_from_training(found):
    known = set()
    for pair in found["train"]:
        synthesis.learn(pair, known)
    held_out = [*found["validation"], *found["test"]]
    assert all(synthesis.is_known(pair, known) for pair in held_out)
    new = {word for pair in held_out for text in pair for word in synthesis.bare_words(text)} - known
    assert len(new) > 20  # Compounds and numbers that training does not show.
    assert all(map(synthesis.parts, new))


@pytest.mark.slow
def test_held_out_combinations_are_split_between_validation_and_test():
    sampler = sentences.Sampler(seed=1)
    owners = {"train": set(), "validation": set(), "test": set()}
    for _ in range(20_000):
        sampler.pair()
        split = synthesis.split_of_sentence(sampler.combinations)
        if split:
            owners[split].update(sampler.combinations)
    for split, other in (("validation", "test"), ("test", "validation")):
        own = {c for c in owners[split] if synthesis.split_of_combination(c) == split}
        assert len(own) > 50
        assert {kind for kind, *_ in own} == {"object", "adjective", "compound", "number"}
        assert not own & owners["train"]
        assert not own & owners[other]


@pytest.mark.slow
def test_every_german_sentence_has_one_translation():
    sampler, translations = sentences.Sampler(seed=2), {}
    for _ in range(30_000):
        german, english = sampler.pair()
        assert translations.setdefault(german, english) == english, german


def test_drawing_is_the_same_every_time():
    first, second = sentences.Sampler(seed=3), sentences.Sampler(seed=3)
    assert [first.pair() for _ in range(50)] == [second.pair() for _ in range(50)]


@pytest.mark.parametrize("name", ["corpus", "grammar", "lexicon", "metrics", "packing", "synthesis"])
def test_examples_in_docstrings_hold(name):
    result = doctest.testmod(importlib.import_module(f"workloads.wmt.{name}"))
    assert result.attempted > 0
    assert result.failed == 0


# ---- grammar ---------------------------------------------------------------------------------------------------


def noun(german):
    tables = (lexicon.PERSONS, lexicon.ANIMALS, lexicon.FOODS, lexicon.THINGS, lexicon.PLACES, lexicon.HEADS)
    return next(entry for table in tables for entry in table if entry.german == german)


def verb(german):
    tables = (lexicon.TRANSITIVE, lexicon.DATIVE, lexicon.DITRANSITIVE, lexicon.INTRANSITIVE, lexicon.MOTION)
    return next(entry for table in tables for entry in table if entry.german == german)


@pytest.mark.parametrize(
    ("phrase", "german", "english"),
    [
        (
            grammar.noun_phrase(noun("Hund"), "der", "klein"),
            ("der kleine Hund", "den kleinen Hund", "dem kleinen Hund", "des kleinen Hundes"),
            "the small dog",
        ),
        (
            grammar.noun_phrase(noun("Frau"), "ein", "alt"),
            ("eine alte Frau", "eine alte Frau", "einer alten Frau", "einer alten Frau"),
            "an old woman",
        ),
        (
            grammar.noun_phrase(noun("Kind"), "", "schön", True),
            ("schöne Kinder", "schöne Kinder", "schönen Kindern", "schöner Kinder"),
            "beautiful children",
        ),
        (
            grammar.noun_phrase(noun("Junge"), "mein"),
            ("mein Junge", "meinen Jungen", "meinem Jungen", "meines Jungen"),
            "my boy",
        ),
        (
            grammar.noun_phrase(noun("Tür"), "dies", modifier="Garten"),
            ("diese Gartentür", "diese Gartentür", "dieser Gartentür", "dieser Gartentür"),
            "this garden door",
        ),
        (
            grammar.noun_phrase(noun("Buch"), "", "neu", True, grammar.number_phrase("neunzig", "sieben")),
            (
                "siebenundneunzig neue Bücher",
                "siebenundneunzig neue Bücher",
                "siebenundneunzig neuen Büchern",
                "siebenundneunzig neuer Bücher",
            ),
            "ninety-seven new books",
        ),
    ],
)
def test_noun_phrases_agree_in_gender_case_and_number(phrase, german, english):
    assert phrase.german == german
    assert phrase.english == english


DOG, BOY = grammar.noun_phrase(noun("Hund")), grammar.noun_phrase(noun("Junge"))
PICK_UP = Clause(subject=BOY, verb=verb("abholen"), object=grammar.noun_phrase(noun("Brief"), "ein"))


def clause(**changes):
    import dataclasses

    return dataclasses.replace(PICK_UP, **changes)


@pytest.mark.parametrize(
    ("meaning", "main", "subordinate", "english"),
    [
        (
            clause(),
            "der Junge holt einen Brief ab",
            "weil der Junge einen Brief abholt",
            "the boy picks up a letter",
        ),
        (
            clause(object=grammar.pronoun("er")),
            "der Junge holt ihn ab",
            "weil der Junge ihn abholt",
            "the boy picks him up",
        ),
        (
            clause(tense="past"),
            "der Junge hat einen Brief abgeholt",
            "weil der Junge einen Brief abgeholt hat",
            "the boy picked up a letter",
        ),
        (
            clause(tense="müssen"),
            "der Junge muss einen Brief abholen",
            "weil der Junge einen Brief abholen muss",
            "the boy must pick up a letter",
        ),
        (
            clause(tense="müssen", manner="not"),
            "der Junge muss einen Brief nicht abholen",
            "weil der Junge einen Brief nicht abholen muss",
            "the boy does not have to pick up a letter",
        ),
        (
            clause(tense="können", manner="not"),
            "der Junge kann einen Brief nicht abholen",
            "weil der Junge einen Brief nicht abholen kann",
            "the boy cannot pick up a letter",
        ),
        (
            clause(manner="gladly"),
            "der Junge holt gern einen Brief ab",
            "weil der Junge gern einen Brief abholt",
            "the boy likes to pick up a letter",
        ),
        (
            clause(tense="past", manner="not yet"),
            "der Junge hat einen Brief noch nicht abgeholt",
            "weil der Junge einen Brief noch nicht abgeholt hat",
            "the boy has not picked up a letter yet",
        ),
        (
            Clause(subject=DOG, verb=verb("gehen"), tense="past"),
            "der Hund ist gegangen",
            "weil der Hund gegangen ist",
            "the dog went",
        ),
    ],
)
def test_a_clause_has_german_word_order_and_english_auxiliaries(meaning, main, subordinate, english):
    assert grammar.german_main(meaning) == main
    assert grammar.german_subordinate(meaning, "weil") == subordinate
    assert grammar.english_statement(meaning) == english


def test_questions_use_do_and_the_infinitive_with_zu_splits_the_prefix():
    assert grammar.english_question(PICK_UP) == "does the boy pick up a letter"
    assert grammar.german_main(PICK_UP, "") == "holt der Junge einen Brief ab"
    assert grammar.german_zu(PICK_UP) == "einen Brief abzuholen"
    assert grammar.german_main(PICK_UP, "object") == "einen Brief holt der Junge ab"


def test_kein_takes_the_place_of_the_article():
    assert sentences._with_kein("einen alten Hund") == "keinen alten Hund"
    assert sentences._with_kein("alte Hunde") == "keine alten Hunde"
    assert sentences._with_kein("Hunde") == "keine Hunde"
