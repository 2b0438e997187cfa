"""A small German-English grammar: from one meaning to one sentence in each language.

What the two languages do differently is what a translator must learn: case and adjective endings, the finite verb
second in main clauses and last in subordinate ones, separable prefixes, the perfect, units before tens, compounds
in one word, 'kein', modal verbs and their negation, and on the English side do-support and particles that move.
"""

import dataclasses
import functools

from workloads.wmt import lexicon
from workloads.wmt.lexicon import Noun, Verb

NOMINATIVE, ACCUSATIVE, DATIVE, GENITIVE = range(4)
PLURAL = "p"


@dataclasses.dataclass(frozen=True)
class NounPhrase:
    """A noun with determiner, adjective and so on, or a pronoun or name."""

    german: tuple[str, ...]
    """German form for each case; '' where the phrase must not be used in that case."""
    english: str
    english_object: str
    person: str
    """One of `lexicon.PERSON_FORMS`."""
    gender: str
    """'m', 'f', 'n', or 'p' for plural."""
    kind: str
    is_pronoun: bool = False
    is_indefinite: bool = False

    @property
    def english_form(self) -> int:
        return lexicon.PERSON_FORMS.index(self.person)


@dataclasses.dataclass(frozen=True)
class Phrase:
    """Words that do not change: a time, a place, a predicate."""

    german: str
    english: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clause:
    """The meaning of a clause; the functions below express it in German and English."""

    subject: NounPhrase
    verb: Verb | None = None
    """None means 'to be' with a predicate."""
    object: NounPhrase | None = None
    recipient: NounPhrase | None = None
    """Object in the dative; the only object of a verb such as 'helfen'."""
    predicate: Phrase | None = None
    place: Phrase | None = None
    time: Phrase | None = None
    tense: str = "present"
    """'present', 'past' (German perfect), or a modal verb."""
    manner: str = ""
    """'', 'not', 'already' (with the past), 'not yet' (with the past), 'gladly' (with the present), 'passive'."""
    has_kein: bool = False
    """Whether the negation is in the object ('keinen Hund')."""


# ---- German ----------------------------------------------------------------------------------------------------


def german_verb(clause: Clause) -> tuple[str, list[str], list[str]]:
    """Finite verb of a main clause, the words at the clause's end, and all verbs of a verb-final clause."""
    form = lexicon.PERSON_FORMS.index(clause.subject.person)
    verb = clause.verb
    if verb is None:
        finite = lexicon.AUXILIARIES["war" if clause.tense == "past" else "sein"][form]
        return finite, [], [finite]
    if clause.manner == "passive":
        finite = lexicon.MODALS["werden"][form]
        return finite, [verb.participle], [verb.participle, finite]
    if clause.tense == "present":
        finite = verb.present(clause.subject.person)
        return finite, [verb.prefix] if verb.prefix else [], [verb.prefix + finite]
    if clause.tense == "past":
        finite, last = lexicon.AUXILIARIES[verb.auxiliary][form], verb.participle
    else:
        finite, last = lexicon.MODALS[clause.tense][form], verb.german
    return finite, [last], [last, finite]


def german_fields(clause: Clause) -> dict[str, str]:
    """All parts but subject and verb, in order; keys are names that `front` in `german_main` may take."""
    fields = {}
    pronoun_object = clause.object is not None and clause.object.is_pronoun
    if clause.object is not None and pronoun_object:
        fields["object"] = clause.object.german[ACCUSATIVE]
    if clause.recipient is not None and clause.recipient.is_pronoun:
        fields["recipient"] = clause.recipient.german[DATIVE]
    if clause.time is not None:
        fields["time"] = clause.time.german
    if clause.manner == "gladly":
        fields["manner"] = "gern"
    if clause.recipient is not None and not clause.recipient.is_pronoun:
        fields["recipient"] = clause.recipient.german[DATIVE]
    if clause.object is not None and not pronoun_object:
        agent = clause.manner == "passive"
        fields["object"] = (
            "von " + clause.object.german[DATIVE] if agent else clause.object.german[ACCUSATIVE]
        )
    adverbs = {"not": "nicht", "already": "schon", "not yet": "noch nicht"}
    if clause.manner in adverbs and not clause.has_kein:
        fields["manner"] = adverbs[clause.manner]
    if clause.place is not None:
        fields["place"] = clause.place.german
    if clause.predicate is not None:
        fields["predicate"] = clause.predicate.german
    return fields


def german_main(clause: Clause, front: str = "subject") -> str:
    """Main clause, verb second; `front` is 'subject', a field, or '' for a question or after a subordinate clause."""
    finite, end, _ = german_verb(clause)
    fields = german_fields(clause)
    subject = clause.subject.german[NOMINATIVE]
    if front == "subject":
        return words(subject, finite, *fields.values(), *end)
    first = fields.pop(front, "")
    return words(first, finite, subject, *fields.values(), *end)


def german_subordinate(clause: Clause, opening: str, without: str = "") -> str:
    """Clause with the verb last. `without` names the part that the relative pronoun (the opening) replaces."""
    fields = german_fields(clause)
    fields.pop(without, None)
    subject = "" if without == "subject" else clause.subject.german[NOMINATIVE]
    return words(opening, subject, *fields.values(), *german_verb(clause)[2])


def german_zu(clause: Clause) -> str:
    """Infinitive clause with 'zu', without subject."""
    verb = clause.verb
    assert verb is not None
    stem = verb.german.removeprefix(verb.prefix)
    infinitive = f"{verb.prefix}zu{stem}" if verb.prefix else f"zu {stem}"
    return words(*german_fields(clause).values(), infinitive)


# ---- English ---------------------------------------------------------------------------------------------------


def english_verb(clause: Clause) -> tuple[str, str, str]:
    """Auxiliary ('' if none is needed), the verb form after it, and the finite form that replaces both."""
    person = clause.subject.english_form
    third = clause.subject.person == "3s"
    verb = clause.verb
    be = lexicon.ENGLISH_BE["past" if clause.tense == "past" else "present"][person]
    if verb is None:
        return be, "", ""
    if clause.manner == "passive":
        return be, verb.english_participle, ""
    if clause.manner in ("already", "not yet"):
        adverb = "already " if clause.manner == "already" else ""
        return "has" if third else "have", adverb + verb.english_participle, ""
    if clause.tense == "past":
        return "did", verb.english, verb.past
    simple = {"können": "can", "sollen": "should", "werden": "will"}
    if clause.tense in simple:
        return simple[clause.tense], verb.english, ""
    if clause.tense == "müssen" and clause.manner != "not" and not clause.has_kein:
        return "must", verb.english, ""
    lead = {"müssen": "have to ", "wollen": "want to "}.get(clause.tense, "")
    lead = "like to " if clause.manner == "gladly" else lead
    base = lead + verb.english
    return "does" if third else "do", base, third_person(base) if third else base


def third_person(base: str) -> str:
    """Third person singular of a verb; only its first word changes.

    >>> third_person("look for"), third_person("have to go")
    ('looks for', 'has to go')
    """
    first, *rest = base.split(" ", 1)
    return " ".join(["has" if first == "have" else lexicon.plural_s(first), *rest])


def english_rest(clause: Clause, verb_form: str, without: str = "", time_first: bool = False) -> str:
    """From the main verb to the end of the clause."""
    thing = "" if clause.object is None or without == "object" else clause.object.english_object
    to = "" if clause.recipient is None else clause.recipient.english_object
    if clause.manner == "passive":
        thing = f"by {thing}"
    elif clause.object is None:
        thing, to = to, ""
    if "~" in verb_form:
        stem, particle = verb_form.split(" ~")
        moves = clause.object is not None and clause.object.is_pronoun and without != "object"
        verb_form, thing = (stem, words(thing, particle)) if moves else (f"{stem} {particle}", thing)
    return words(
        verb_form,
        thing,
        f"to {to}" if to else "",
        clause.predicate.english if clause.predicate else "",
        clause.place.english if clause.place else "",
        "yet" if clause.manner == "not yet" else "",
        clause.time.english if clause.time and not time_first else "",
    )


def english_statement(clause: Clause, time_first: bool = False, without: str = "") -> str:
    """Subject, verb, object; `without` names the part that a relative pronoun replaces."""
    auxiliary, form, finite = english_verb(clause)
    is_negative = clause.manner in ("not", "not yet") or clause.has_kein
    if finite and not is_negative:
        group = [english_rest(clause, finite, without, time_first)]
    else:
        negation = "not" if is_negative else ""
        auxiliary, negation = ("cannot", "") if negation and auxiliary == "can" else (auxiliary, negation)
        group = [auxiliary, negation, english_rest(clause, form, without, time_first)]
    time = clause.time.english if clause.time and time_first else ""
    return words(time, "" if without == "subject" else clause.subject.english, *group)


def english_question(clause: Clause, opening: str = "", without: str = "") -> str:
    auxiliary, form, _ = english_verb(clause)
    return words(opening, auxiliary, clause.subject.english, english_rest(clause, form, without))


# ---- noun phrases ----------------------------------------------------------------------------------------------


@functools.cache
def noun_phrase(
    noun: Noun,
    determiner: str = "der",
    adjective: str = "",
    is_plural: bool = False,
    number: Phrase | None = None,
    modifier: str = "",
) -> NounPhrase:
    """A determiner ('der', 'ein', 'kein', 'dies', 'jed', a possessive, '' for none), adjective, and noun."""
    gender = PLURAL if is_plural else noun.gender
    german = []
    for case, name in enumerate(lexicon.CASES):
        article, ending = _determiner(determiner, gender, case)
        form = noun.german_form(name, is_plural)
        german.append(
            words(
                article,
                number.german if number else "",
                adjective + ending if adjective else "",
                modifier + form.lower() if modifier else form,
            )
        )
    english = words(
        number.english if number else "",
        lexicon.ADJECTIVES[adjective][0] if adjective else "",
        lexicon.MODIFIERS[modifier] if modifier else "",
        noun.english_form(is_plural),
    )
    english = words(_english_determiner(determiner, is_plural, english), english)
    is_indefinite = determiner in ("ein", "") and number is None
    return NounPhrase(
        tuple(german),
        english,
        english,
        "3p" if is_plural else "3s",
        gender,
        noun.kind,
        is_indefinite=is_indefinite,
    )


def _determiner(determiner: str, gender: str, case: int) -> tuple[str, str]:
    """The German determiner, and the ending of an adjective after it."""
    if determiner == "":
        return "", lexicon.STRONG[gender][case]
    if determiner == "der":
        return lexicon.DEFINITE[gender][case], lexicon.WEAK_ADJECTIVE[gender][case]
    if determiner in ("dies", "jed"):
        return determiner + lexicon.STRONG[gender][case], lexicon.WEAK_ADJECTIVE[gender][case]
    return determiner + lexicon.INDEFINITE[gender][case], lexicon.MIXED_ADJECTIVE[gender][case]


def _english_determiner(determiner: str, is_plural: bool, following: str) -> str:
    if determiner in ("ein", "kein"):
        article = "an" if following[0] in "aeiou" else "a"
        return "any" if is_plural else article
    fixed = {"": "", "der": "the", "dies": "these" if is_plural else "this", "jed": "every"}
    return fixed.get(determiner) or lexicon.POSSESSIVES.get(determiner, "")


def pronoun(name: str) -> NounPhrase:
    nominative, accusative, dative, subject, object_form, person = lexicon.PRONOUNS[name]
    gender = {"er": "m", "sie": "f"}.get(name, PLURAL)
    return NounPhrase(
        (nominative, accusative, dative), subject, object_form, person, gender, "person", is_pronoun=True
    )


def proper_name(name: str) -> NounPhrase:
    return NounPhrase((name, name, name), name, name, "3s", "name", "person")


def owned(thing: NounPhrase, bare_english: str, owner: NounPhrase) -> NounPhrase:
    """'das Buch des Lehrers', 'the teacher's book'."""
    apostrophe = "'" if owner.english.endswith("s") else "'s"
    english = f"{owner.english}{apostrophe} {bare_english}"
    german = tuple(f"{form} {owner.german[GENITIVE]}" for form in thing.german)
    return dataclasses.replace(thing, german=german, english=english, english_object=english)


def with_relative_clause(head: NounPhrase, german: str, english: str) -> NounPhrase:
    """A head followed by ', der ...,' in German and by 'who ...' or 'that ...' in English."""
    forms = tuple(f"{form} , {german} ," for form in head.german)
    text = f"{head.english} {english}"
    return dataclasses.replace(head, german=forms, english=text, english_object=text)


def number_phrase(tens: str, unit: str) -> Phrase:
    """The unit comes first in German.

    >>> number_phrase("zwanzig", "ein")
    Phrase(german='einundzwanzig', english='twenty-one')
    """
    if not tens:
        return Phrase(unit, lexicon.UNITS[unit])
    return Phrase(f"{unit}und{tens}", f"{lexicon.TENS[tens]}-{lexicon.UNITS[unit]}")


def words(*parts: str) -> str:
    """The parts that are not empty, with single spaces."""
    return " ".join(part for part in parts if part)


def sentence(text: str, end: str = ".") -> str:
    """Capital letter, punctuation closed up.

    >>> sentence("der Mann , der lacht , , weil er singt ,")
    'Der Mann, der lacht, weil er singt.'
    """
    tokens: list[str] = []
    for word in text.split():
        if word != "," or (tokens and tokens[-1] != ","):
            tokens.append(word)
    if tokens[-1] == ",":
        tokens.pop()
    joined = " ".join(tokens).replace(" ,", ",")
    return joined[0].upper() + joined[1:] + end


def is_marked_accusative(phrase: NounPhrase) -> bool:
    """Whether the German form differs from the nominative, so that it must be an object."""
    return phrase.german[ACCUSATIVE] != phrase.german[NOMINATIVE]
