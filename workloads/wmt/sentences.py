"""Draws random sentence pairs from the grammar and records the word combinations in each."""

import dataclasses
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, TypeVar

from workloads.wmt import grammar, lexicon
from workloads.wmt.corpus import Pair
from workloads.wmt.grammar import ACCUSATIVE, DATIVE, NOMINATIVE, Clause, NounPhrase, Phrase
from workloads.wmt.lexicon import Noun, Verb

T = TypeVar("T")
Combination = tuple[str, str, str]
"""For example ('adjective', 'rot', 'Apfel')."""

BY_KIND: dict[str, list[Noun]] = {
    "person": lexicon.PERSONS,
    "animal": lexicon.ANIMALS,
    "food": lexicon.FOODS,
    "thing": lexicon.THINGS,
    "place": lexicon.PLACES,
}


class Sampler:
    """Draws sentences; `combinations` holds the word combinations of the last sentence.

    Of Python's generator only `Random.random` is used: its sequence is the same in all versions of Python.
    """

    def __init__(self, seed: int):
        self._random = Random(seed)
        self.combinations: list[Combination] = []

    def chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def choose(self, options: Sequence[T]) -> T:
        return options[int(self._random.random() * len(options))]

    def weighted(self, options: Sequence[tuple[float, T]]) -> T:
        left = self._random.random() * sum(weight for weight, _ in options)
        for weight, option in options:
            left -= weight
            if left < 0:
                return option
        return options[-1][1]

    def pair(self) -> Pair:
        """One sentence in German and English."""
        self.combinations = []
        return self.weighted(SENTENCES)(self)

    # ---- noun phrases ------------------------------------------------------------------------------------------

    def adjective(self, noun: Noun, probability: float) -> str:
        if not self.chance(probability):
            return ""
        adjective = self.choose(lexicon.FITTING[noun.kind])
        self.combinations.append(("adjective", adjective, noun.german))
        return adjective

    def number(self) -> Phrase:
        """From two to nine, or from 21 to 99 with a unit."""
        if self.chance(0.5):
            return grammar.number_phrase("", self.choose(tuple(lexicon.UNITS)[1:]))
        tens, unit = self.choose(tuple(lexicon.TENS)), self.choose(tuple(lexicon.UNITS))
        self.combinations.append(("number", tens, unit))
        return grammar.number_phrase(tens, unit)

    def noun_phrase(self, noun: Noun, is_simple: bool = False, indefinite: bool | None = None) -> NounPhrase:
        """The noun with a determiner or number, perhaps plural, with an adjective or as part of a compound."""
        modifier = ""
        if noun in lexicon.HEADS:
            modifier = self.choose(tuple(lexicon.MODIFIERS))
            self.combinations.append(("compound", modifier, noun.german))
        adjective = self.adjective(noun, 0.15 if is_simple or modifier else 0.4)
        if indefinite is None:
            indefinite = self.chance(0.35)
        if indefinite:
            is_plural = self.chance(0.3)
            return grammar.noun_phrase(
                noun, "" if is_plural else "ein", adjective, is_plural, modifier=modifier
            )
        if noun.kind != "place" and not is_simple and self.chance(0.12):
            return grammar.noun_phrase(noun, "", adjective, True, self.number(), modifier)
        is_plural = self.chance(0.25)
        choices = [(6, "der"), (1, "dies"), (0 if is_plural else 0.5, "jed")]
        choices += [(0.5, possessive) for possessive in lexicon.POSSESSIVES]
        return grammar.noun_phrase(noun, self.weighted(choices), adjective, is_plural, modifier=modifier)

    def noun_of(self, kinds: str) -> Noun:
        kind = self.choose(kinds.split())
        return self.choose(lexicon.HEADS if kind == "thing" and self.chance(0.4) else BY_KIND[kind])

    def person(self, is_simple: bool = False) -> NounPhrase:
        """A subject: mostly a person, sometimes a pronoun, a name or an animal."""
        kind = self.weighted([(5, "noun"), (3, "pronoun"), (1.5, "name"), (1, "animal")])
        if kind == "pronoun":
            return grammar.pronoun(self.choose(tuple(lexicon.PRONOUNS)))
        if kind == "name":
            return grammar.proper_name(self.choose(lexicon.NAMES))
        noun = self.choose(lexicon.ANIMALS if kind == "animal" else lexicon.PERSONS)
        return self.noun_phrase(
            noun, is_simple, indefinite=None if not is_simple and self.chance(0.3) else False
        )

    def object_of(self, verb: Verb, case: int, is_simple: bool = False) -> NounPhrase:
        """Something that fits the verb; for persons sometimes a pronoun or a name."""
        noun = self.noun_of(verb.objects)
        if noun.kind == "person" and self.chance(0.3):
            phrase = grammar.pronoun(self.choose(tuple(lexicon.PRONOUNS)))
            if self.chance(0.4) or not phrase.german[case]:
                phrase = grammar.proper_name(self.choose(lexicon.NAMES))
            return phrase
        self.combinations.append(("object", verb.german, noun.german))
        if noun.kind == "thing" and noun not in lexicon.HEADS and self.chance(0.1):
            thing = grammar.noun_phrase(noun)
            owner = grammar.noun_phrase(self.choose(lexicon.PERSONS), is_plural=self.chance(0.2))
            return grammar.owned(thing, noun.english, owner)
        return self.noun_phrase(noun, is_simple)

    # ---- other phrases -----------------------------------------------------------------------------------------

    def place(self, case: int) -> Phrase:
        """Where (dative), or where to (accusative)."""
        preposition = self.choose(("in", "in", "vor", "hinter"))
        noun = self.choose(lexicon.PLACES)
        phrase = self.noun_phrase(noun, is_simple=True, indefinite=self.chance(0.15))
        german = f"{preposition} {phrase.german[case]} "
        for long, short in (("in dem ", "im "), ("in das ", "ins ")):
            german = german.replace(long, short)
        at_rest, direction = lexicon.PLACE_PREPOSITIONS[preposition]
        return Phrase(
            german.strip(), f"{direction if case == ACCUSATIVE else at_rest} {phrase.english_object}"
        )

    def time(self, tense: str) -> Phrase:
        """A phrase of time that fits the tense: 'present', 'past', or for any other value the future."""
        if self.chance(0.2):
            day = self.choose(tuple(lexicon.DAYS))
            return Phrase(f"am {day}", f"on {lexicon.DAYS[day]}")
        if self.chance(0.3):
            units = tuple(lexicon.UNITS.items())
            if self.chance(0.5):  # 'halb vier' is half past three.
                hour = int(self._random.random() * 8) + 1
                return Phrase(f"um halb {units[hour][0]}", f"at half past {units[hour - 1][1]}")
            german, english = self.choose(units)
            return Phrase(f"um {german} Uhr", f"at {english} o'clock")
        table = lexicon.TIMES[tense if tense in lexicon.TIMES else "future"]
        german = self.choose(tuple(table))
        return Phrase(german, table[german])

    # ---- clauses -----------------------------------------------------------------------------------------------

    def clause(self, is_simple: bool = False, subject: NounPhrase | None = None, tense: str = "") -> Clause:
        """A clause of any kind; a simple one has fewer extras."""
        tense = tense or self.weighted([(4, "present"), (3, "past"), (2.5, "modal")])
        tense = (
            self.choose(("können", "müssen", "sollen", "wollen", "werden", "werden"))
            if tense == "modal"
            else tense
        )
        subject = subject or self.person(is_simple)
        kind = self.weighted(
            [(6, "object"), (1, "dative"), (1.3, "recipient"), (1.5, "alone"), (1.5, "motion")]
        )
        fields: dict[str, Any] = {"subject": subject, "tense": tense}
        if kind == "object":
            fields["verb"] = self.choose(lexicon.TRANSITIVE)
            fields["object"] = self.object_of(fields["verb"], ACCUSATIVE, is_simple)
        elif kind == "dative":
            fields["verb"] = self.choose(lexicon.DATIVE)
            fields["recipient"] = self.object_of(fields["verb"], DATIVE, is_simple)
        elif kind == "recipient":
            fields["verb"] = self.choose(lexicon.DITRANSITIVE)
            fields["object"] = self.object_of(fields["verb"], ACCUSATIVE, True)
            fields["recipient"] = self.noun_phrase(self.choose(lexicon.PERSONS), True, indefinite=False)
        elif kind == "alone":
            fields["verb"] = self.choose(lexicon.INTRANSITIVE)
            if self.chance(0.5):
                fields["place"] = self.place(DATIVE)
        else:
            fields["verb"] = self.choose(lexicon.MOTION)
            fields["place"] = self.place(ACCUSATIVE)
        if self.chance(0.1 if is_simple or "place" in fields else 0.4):
            fields["time"] = self.time(tense)
        return self._with_manner(Clause(**fields))

    def _with_manner(self, clause: Clause) -> Clause:
        manners: list[tuple[float, str]] = [(7, ""), (2, "not")]
        if clause.tense == "past" and clause.time is None:
            manners += [(1, "already"), (0.7, "not yet")]
        if clause.tense == "present" and clause.place is None:
            manners += [(1.2, "gladly")]
        manner = self.weighted(manners)
        phrase = clause.object
        if manner == "not" and phrase is not None and phrase.is_indefinite:
            negated = tuple(_with_kein(form) for form in phrase.german)
            english = phrase.english if phrase.gender != grammar.PLURAL else f"any {phrase.english}"
            phrase = dataclasses.replace(phrase, german=negated, english=english, english_object=english)
            return dataclasses.replace(clause, object=phrase, has_kein=True)
        return dataclasses.replace(clause, manner=manner)

    def predicate_clause(self) -> Clause:
        """'The dog is older than the cat.'"""
        noun = self.choose(lexicon.PERSONS + lexicon.ANIMALS + lexicon.THINGS + lexicon.PLACES)
        subject = self.noun_phrase(noun, is_simple=True, indefinite=False)
        adjective = self.choose(lexicon.FITTING[noun.kind])
        english, german_more, english_more = lexicon.ADJECTIVES[adjective]
        self.combinations.append(("adjective", adjective, noun.german))
        predicate = Phrase(adjective, english)
        if self.chance(0.55):
            other = self.noun_phrase(self.noun_of(noun.kind), is_simple=True, indefinite=False)
            if self.chance(0.7):
                german, english = f"{german_more} als", f"{english_more} than"
            else:
                german, english = f"so {adjective} wie", f"as {english} as"
            predicate = Phrase(f"{german} {other.german[NOMINATIVE]}", f"{english} {other.english}")
        tense = self.weighted([(2, "present"), (1, "past")])
        return Clause(
            subject=subject, predicate=predicate, tense=tense, manner="not" if self.chance(0.2) else ""
        )


def _with_kein(form: str) -> str:
    """'einen Hund' -> 'keinen Hund', 'alte Hunde' -> 'keine alten Hunde'."""
    first, *rest = form.split()
    if first in ("ein", "eine", "einen", "einem", "einer", "eines"):
        return grammar.words("k" + first, *rest)
    adjective = [first[: -len("e")] + "en"] if rest else []
    return grammar.words("keine", *adjective, *(rest or [first]))


# ---- sentences -------------------------------------------------------------------------------------------------


def statement(sampler: Sampler) -> Pair:
    """One main clause; half the time a part other than the subject may come first."""
    clause = sampler.clause()
    fronts = ["subject"]
    if clause.time is not None:
        fronts += ["time"]
    if clause.place is not None:
        fronts += ["place"]
    subject_shows = clause.subject.german[NOMINATIVE] != clause.subject.german[ACCUSATIVE]
    # If no word form marks the accusative, a German reader takes the first noun for the subject, so do not front
    # the object.
    noun_object = None if clause.object is None or clause.object.is_pronoun else clause.object
    if noun_object is not None and (subject_shows or grammar.is_marked_accusative(noun_object)):
        fronts += ["object"]
    front = "subject" if sampler.chance(0.5) else sampler.choose(fronts)
    english = grammar.english_statement(clause, time_first=front == "time")
    return grammar.sentence(grammar.german_main(clause, front)), grammar.sentence(english)


def question(sampler: Sampler) -> Pair:
    """Yes-no, 'where', 'why' or 'what'."""
    clause = dataclasses.replace(sampler.clause(), manner="")
    if clause.has_kein:
        return statement(sampler)
    opening, without = ("", ""), ""
    if sampler.chance(0.5):
        opening = sampler.choose((("warum", "why"), ("wann", "when"), ("wo", "where")))
        clause = dataclasses.replace(clause, time=None, place=None if opening[0] == "wo" else clause.place)
        if clause.verb in lexicon.MOTION and opening[0] == "wo":
            opening = ("wohin", "where")
    if opening == ("", "") and clause.object is not None and sampler.chance(0.4):
        is_person = clause.object.kind in ("person", "animal")
        opening, without = (("wen", "who") if is_person else ("was", "what")), "object"
    if without:
        fields = grammar.german_fields(clause)
        finite, end, _ = grammar.german_verb(clause)
        fields.pop("object")
        german = grammar.words(opening[0], finite, clause.subject.german[NOMINATIVE], *fields.values(), *end)
    else:
        german = grammar.words(opening[0], grammar.german_main(clause, ""))
    return grammar.sentence(german, "?"), grammar.sentence(
        grammar.english_question(clause, opening[1], without), "?"
    )


def predicate(sampler: Sampler) -> Pair:
    clause = sampler.predicate_clause()
    if sampler.chance(0.2):
        clause = dataclasses.replace(clause, manner="")
        english = grammar.english_question(clause)
        return grammar.sentence(grammar.german_main(clause, ""), "?"), grammar.sentence(english, "?")
    return grammar.sentence(grammar.german_main(clause)), grammar.sentence(grammar.english_statement(clause))


def subordinate(sampler: Sampler) -> Pair:
    """Main and subordinate clause; if the subordinate clause comes first, the main clause starts with its verb."""
    german_word = sampler.choose(tuple(lexicon.CONJUNCTIONS))
    tense = sampler.weighted([(3, "present"), (3, "past"), (1, "modal")])
    main, sub = sampler.clause(is_simple=True, tense=tense), sampler.clause(is_simple=True, tense=tense)
    german = grammar.german_subordinate(sub, german_word)
    english = grammar.words(lexicon.CONJUNCTIONS[german_word], grammar.english_statement(sub))
    main_english = grammar.english_statement(main)
    if sampler.chance(0.5):
        pair = f"{german} , {grammar.german_main(main, '')}", f"{english} , {main_english}"
    else:
        pair = f"{grammar.german_main(main)} , {german}", f"{main_english} {english}"
    return grammar.sentence(pair[0]), grammar.sentence(pair[1])


def reported(sampler: Sampler) -> Pair:
    """'I believe that ...', 'Do you know ...' without the 'you'."""
    verbs = {
        "glauben": ("glaube", "glaubt", "believe", "dass", "that"),
        "wissen": ("weiß", "weiß", "know", "dass", "that"),
        "fragen": ("frage", "fragt", "ask", "ob", "whether"),
    }
    first, third, english, german_word, english_word = verbs[sampler.choose(tuple(verbs))]
    subject = sampler.person(is_simple=True)
    infinitive = {"glaubt": "glauben", "weiß": "wissen", "fragt": "fragen"}[third]
    form = {"1s": first, "3s": third}.get(subject.person, infinitive)
    clause = sampler.clause(is_simple=True)
    english_form = grammar.third_person(english) if subject.person == "3s" else english
    german = f"{subject.german[NOMINATIVE]} {form} , {grammar.german_subordinate(clause, german_word)}"
    text = f"{subject.english} {english_form} {english_word} {grammar.english_statement(clause)}"
    return grammar.sentence(german), grammar.sentence(text)


def relative(sampler: Sampler) -> Pair:
    """The subject of a main clause has a relative clause, of which it is the subject or the object."""
    noun = sampler.choose(lexicon.PERSONS + lexicon.ANIMALS)
    head = grammar.noun_phrase(noun, is_plural=sampler.chance(0.2))
    clause = sampler.clause(is_simple=True, subject=head)
    relative_pronoun = head.german[NOMINATIVE].split()[0]
    without = "subject"
    english_word = "who" if noun.kind == "person" else "that"
    fitting = [verb for verb in lexicon.TRANSITIVE if noun.kind in verb.objects.split()]
    if sampler.chance(0.4):
        subject = sampler.person(is_simple=True)
        if head.gender == "m" or subject.german[NOMINATIVE] != subject.german[ACCUSATIVE]:
            verb = sampler.choose(fitting)
            sampler.combinations.append(("object", verb.german, noun.german))
            clause = Clause(
                subject=subject, verb=verb, object=head, tense=sampler.choose(("present", "past"))
            )
            relative_pronoun, without, english_word = head.german[ACCUSATIVE].split()[0], "object", "that"
    german = grammar.german_subordinate(clause, relative_pronoun, without)
    english = f"{english_word} {grammar.english_statement(clause, without=without)}"
    phrase = grammar.with_relative_clause(head, german, english)
    main = sampler.clause(is_simple=True, subject=phrase, tense=sampler.choose(("present", "past")))
    return grammar.sentence(grammar.german_main(main)), grammar.sentence(grammar.english_statement(main))


def infinitive(sampler: Sampler) -> Pair:
    """'Er versucht, das Buch zu finden.' and, with 'um', a purpose."""
    verb = sampler.choose(lexicon.TRANSITIVE)
    if sampler.chance(0.5):
        subject = sampler.person(is_simple=True)
        lead = Clause(
            subject=subject, verb=sampler.choose(lexicon.CONTROL), tense=sampler.choose(("present", "past"))
        )
        opening = ""
    else:
        subject = sampler.person(is_simple=True)
        tense = sampler.choose(("present", "past", "werden"))
        lead = Clause(
            subject=subject, verb=sampler.choose(lexicon.MOTION), place=sampler.place(ACCUSATIVE), tense=tense
        )
        opening = "um"
    purpose = Clause(subject=subject, verb=verb, object=sampler.object_of(verb, ACCUSATIVE, True))
    german = f"{grammar.german_main(lead)} , {grammar.words(opening, grammar.german_zu(purpose))}"
    english = f"{grammar.english_statement(lead)} to {grammar.english_rest(purpose, verb.english)}"
    return grammar.sentence(german), grammar.sentence(english)


def passive(sampler: Sampler) -> Pair:
    """'Der Brief wird von dem Lehrer gefunden.'"""
    verb = sampler.choose([verb for verb in lexicon.TRANSITIVE if verb.german != verb.participle])
    noun = sampler.noun_of(verb.objects)
    sampler.combinations.append(("object", verb.german, noun.german))
    patient = sampler.noun_phrase(noun, indefinite=False)
    agent = sampler.noun_phrase(sampler.choose(lexicon.PERSONS), True, indefinite=False)
    time = sampler.time("present") if sampler.chance(0.3) else None
    clause = Clause(subject=patient, verb=verb, object=agent, manner="passive", time=time)
    return grammar.sentence(grammar.german_main(clause)), grammar.sentence(grammar.english_statement(clause))


def existence(sampler: Sampler) -> Pair:
    """'In der Stadt gibt es einen alten Park.'"""
    place = sampler.place(DATIVE)
    noun = sampler.noun_of("person animal thing place")
    thing = sampler.noun_phrase(noun, indefinite=True)
    is_plural = thing.person == "3p"
    if sampler.chance(0.3):
        is_plural = True
        thing = grammar.noun_phrase(
            noun, "", sampler.adjective(noun, 0.3), True, sampler.number(), _modifier(sampler, noun)
        )
    german, english = (
        f"{place.german} gibt es {thing.german[ACCUSATIVE]}",
        "there are" if is_plural else "there is",
    )
    if sampler.chance(0.4):
        german = f"es gibt {thing.german[ACCUSATIVE]} {place.german}"
    return grammar.sentence(german), grammar.sentence(f"{english} {thing.english} {place.english}")


def _modifier(sampler: Sampler, noun: Noun) -> str:
    if noun not in lexicon.HEADS:
        return ""
    modifier = sampler.choose(tuple(lexicon.MODIFIERS))
    sampler.combinations.append(("compound", modifier, noun.german))
    return modifier


SENTENCES: list[tuple[float, Callable[[Sampler], Pair]]] = [
    (7, statement),
    (2, question),
    (1.5, predicate),
    (2.5, subordinate),
    (1.2, reported),
    (1.5, relative),
    (1.5, infinitive),
    (1.0, passive),
    (1.0, existence),
]
