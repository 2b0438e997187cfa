"""Words of the synthetic German-English corpus as tables; `grammar.py` makes sentences of them."""

import dataclasses

CASES = ("nominative", "accusative", "dative", "genitive")


@dataclasses.dataclass(frozen=True)
class Noun:
    """A noun in both languages."""

    german: str
    gender: str
    """'m', 'f' or 'n'."""
    plural: str
    english: str
    english_plural: str
    kind: str
    """'person', 'animal', 'food', 'thing' or 'place'."""
    is_weak: bool = False
    """Whether every form but the nominative singular ends in -n ('den Jungen')."""

    def german_form(self, case: str, is_plural: bool) -> str:
        if is_plural:
            needs_n = case == "dative" and self.plural[-1] not in "ns"
            return self.plural + ("n" if needs_n else "")
        if self.is_weak and case != "nominative":
            return self.plural
        if case == "genitive" and self.gender != "f":
            return self.german + ("es" if self.german.endswith(("d", "t", "ch", "s", "z", "ß")) else "s")
        return self.german

    def english_form(self, is_plural: bool) -> str:
        return self.english_plural if is_plural else self.english


def _nouns(kind: str, table: str) -> list[Noun]:
    """One noun per line: gender ('mw' if weak), singular, plural, English singular, its plural if irregular."""
    nouns = []
    for line in table.strip().splitlines():
        gender, german, plural, english, *irregular = line.split()
        weak = gender.endswith("w")
        nouns.append(
            Noun(
                german,
                gender[0],
                plural,
                english,
                irregular[0] if irregular else plural_s(english),
                kind,
                weak,
            )
        )
    return nouns


def plural_s(english: str) -> str:
    """The regular plural, and third person singular, of an English word.

    >>> plural_s("church"), plural_s("baby"), plural_s("boy")
    ('churches', 'babies', 'boys')
    """
    if english.endswith(("s", "x", "ch", "sh", "z", "o")):
        return english + "es"
    if english.endswith("y") and english[-2] not in "aeiou":
        return english[:-1] + "ies"
    return english + "s"


PERSONS = _nouns(
    "person",
    """
f Frau Frauen woman women
n Kind Kinder child children
m Lehrer Lehrer teacher
f Mutter Mütter mother
m Vater Väter father
f Schwester Schwestern sister
mw Junge Jungen boy
n Mädchen Mädchen girl
m Arzt Ärzte doctor
mw Bauer Bauern farmer
""",
)
ANIMALS = _nouns(
    "animal",
    """
m Hund Hunde dog
f Katze Katzen cat
n Pferd Pferde horse
m Vogel Vögel bird
""",
)
FOODS = _nouns(
    "food",
    """
m Apfel Äpfel apple
n Brot Brote loaf loaves
n Ei Eier egg
f Suppe Suppen soup
m Fisch Fische fish fish
""",
)
THINGS = _nouns(
    "thing",
    """
n Buch Bücher book
m Brief Briefe letter
f Tasche Taschen bag
n Bild Bilder picture
m Stuhl Stühle chair
m Hut Hüte hat
n Glas Gläser glass
""",
)
PLACES = _nouns(
    "place",
    """
m Garten Gärten garden
f Stadt Städte town
n Haus Häuser house
f Schule Schulen school
m Wald Wälder forest
m Park Parks park
f Kirche Kirchen church
""",
)

# First parts of compounds, combined freely with heads: Garten + Tür = Gartentür, garden door.
MODIFIERS = {
    "Garten": "garden",
    "Holz": "wooden",
    "Stein": "stone",
    "Sommer": "summer",
    "Glas": "glass",
    "Schul": "school",
    "Stadt": "town",
    "Gold": "golden",
}
HEADS = _nouns(
    "thing",
    """
f Tür Türen door
m Tisch Tische table
n Fenster Fenster window
m Schuh Schuhe shoe
n Tor Tore gate
f Uhr Uhren clock
""",
)


@dataclasses.dataclass(frozen=True)
class Verb:
    """A verb in both languages."""

    german: str
    """Infinitive, separable prefix included."""
    prefix: str
    """The separable prefix, '' for none."""
    third: str
    """The er/sie/es form, prefix left out."""
    participle: str
    auxiliary: str
    """Of the perfect: 'haben' or 'sein'."""
    english: str
    """Base form; a particle or preposition may follow ('look for'), '~' marks one that moves ('pick ~up')."""
    past: str
    english_participle: str
    objects: str
    """Kinds of nouns that can be its object ('person animal'), '' for none."""

    def present(self, person: str) -> str:
        """The finite form without prefix; `person` is one of `PERSON_FORMS`."""
        if person == "3s":
            return self.third
        stem = self.german.removeprefix(self.prefix)
        return stem[:-2] + "e" if person == "1s" else stem


def _verbs(table: str) -> list[Verb]:
    """One verb per line, the fields of `Verb` separated by '|'."""
    return [Verb(*line.split("|")) for line in table.strip().splitlines()]


TRANSITIVE = _verbs(
    """
sehen||sieht|gesehen|haben|see|saw|seen|person animal food thing
suchen||sucht|gesucht|haben|look for|looked for|looked for|person animal thing
finden||findet|gefunden|haben|find|found|found|person animal thing food
kaufen||kauft|gekauft|haben|buy|bought|bought|food thing animal
essen||isst|gegessen|haben|eat|ate|eaten|food
kochen||kocht|gekocht|haben|cook|cooked|cooked|food
lieben||liebt|geliebt|haben|love|loved|loved|person animal
malen||malt|gemalt|haben|paint|painted|painted|person animal thing
vergessen||vergisst|vergessen|haben|forget|forgot|forgotten|person thing
besuchen||besucht|besucht|haben|visit|visited|visited|person
einladen|ein|lädt|eingeladen|haben|invite|invited|invited|person
abholen|ab|holt|abgeholt|haben|pick ~up|picked ~up|picked ~up|person thing
mitbringen|mit|bringt|mitgebracht|haben|bring ~along|brought ~along|brought ~along|person food thing
wegwerfen|weg|wirft|weggeworfen|haben|throw ~away|threw ~away|thrown ~away|food thing
anschauen|an|schaut|angeschaut|haben|look at|looked at|looked at|person animal thing
"""
)
DATIVE = _verbs(
    """
helfen||hilft|geholfen|haben|help|helped|helped|person
folgen||folgt|gefolgt|sein|follow|followed|followed|person animal
zuhören|zu|hört|zugehört|haben|listen to|listened to|listened to|person
"""
)
DITRANSITIVE = _verbs(
    """
geben||gibt|gegeben|haben|give|gave|given|food thing
zeigen||zeigt|gezeigt|haben|show|showed|shown|thing animal
schicken||schickt|geschickt|haben|send|sent|sent|thing food
"""
)
INTRANSITIVE = _verbs(
    """
schlafen||schläft|geschlafen|haben|sleep|slept|slept|
arbeiten||arbeitet|gearbeitet|haben|work|worked|worked|
singen||singt|gesungen|haben|sing|sang|sung|
spielen||spielt|gespielt|haben|play|played|played|
"""
)
MOTION = _verbs(
    """
gehen||geht|gegangen|sein|go|went|gone|
fahren||fährt|gefahren|sein|drive|drove|driven|
kommen||kommt|gekommen|sein|come|came|come|
"""
)
# Followed by 'zu' and an infinitive.
CONTROL = _verbs(
    """
versuchen||versucht|versucht|haben|try|tried|tried|
beginnen||beginnt|begonnen|haben|begin|began|begun|
"""
)

# Order of the forms below, by person: ich, er/sie/es, wir, sie (plural).
PERSON_FORMS = ("1s", "3s", "1p", "3p")
MODALS = {
    "können": ("kann", "kann", "können", "können"),
    "müssen": ("muss", "muss", "müssen", "müssen"),
    "sollen": ("soll", "soll", "sollen", "sollen"),
    "wollen": ("will", "will", "wollen", "wollen"),
    "werden": ("werde", "wird", "werden", "werden"),
}
AUXILIARIES = {
    "haben": ("habe", "hat", "haben", "haben"),
    "sein": ("bin", "ist", "sind", "sind"),
    "war": ("war", "war", "waren", "waren"),
}
ENGLISH_BE = {"present": ("am", "is", "are", "are"), "past": ("was", "was", "were", "were")}

# Adjective: English, comparatives in German and English.
ADJECTIVES = {
    "alt": ("old", "älter", "older"),
    "jung": ("young", "jünger", "younger"),
    "klein": ("small", "kleiner", "smaller"),
    "groß": ("big", "größer", "bigger"),
    "schön": ("beautiful", "schöner", "more beautiful"),
    "neu": ("new", "neuer", "newer"),
    "schwer": ("heavy", "schwerer", "heavier"),
    "rot": ("red", "roter", "redder"),
    "grün": ("green", "grüner", "greener"),
    "weiß": ("white", "weißer", "whiter"),
    "glücklich": ("happy", "glücklicher", "happier"),
    "stark": ("strong", "stärker", "stronger"),
    "klug": ("clever", "klüger", "cleverer"),
}
FITTING = {
    "person": ("alt", "jung", "klein", "groß", "schön", "glücklich", "stark", "klug"),
    "animal": ("alt", "jung", "klein", "groß", "schön", "weiß", "stark", "klug"),
    "food": ("klein", "groß", "schwer", "rot", "grün", "weiß"),
    "thing": ("alt", "neu", "klein", "groß", "schön", "schwer", "rot", "grün", "weiß"),
    "place": ("alt", "neu", "klein", "groß", "schön", "grün", "weiß"),
}

# Endings by gender ('p' = plural) in the order of CASES.
DEFINITE = {
    "m": ("der", "den", "dem", "des"),
    "f": ("die", "die", "der", "der"),
    "n": ("das", "das", "dem", "des"),
    "p": ("die", "die", "den", "der"),
}
STRONG = {  # dies-, jed-; also adjectives without article, but for the genitive.
    "m": ("er", "en", "em", "es"),
    "f": ("e", "e", "er", "er"),
    "n": ("es", "es", "em", "es"),
    "p": ("e", "e", "en", "er"),
}
INDEFINITE = {  # ein-, kein-, mein-.
    "m": ("", "en", "em", "es"),
    "f": ("e", "e", "er", "er"),
    "n": ("", "", "em", "es"),
    "p": ("e", "e", "en", "er"),
}
WEAK_ADJECTIVE = {  # After der, dies-, jed-.
    "m": ("e", "en", "en", "en"),
    "f": ("e", "e", "en", "en"),
    "n": ("e", "e", "en", "en"),
    "p": ("en", "en", "en", "en"),
}
MIXED_ADJECTIVE = {  # After ein-, kein-, mein-.
    "m": ("er", "en", "en", "en"),
    "f": ("e", "e", "en", "en"),
    "n": ("es", "es", "en", "en"),
    "p": ("en", "en", "en", "en"),
}

# Pronoun: nominative, accusative, dative; English subject and object; person. Accusative '' where German is ambiguous.
PRONOUNS = {
    "ich": ("ich", "mich", "mir", "I", "me", "1s"),
    "er": ("er", "ihn", "ihm", "he", "him", "3s"),
    "sie": ("sie", "", "ihr", "she", "her", "3s"),
    "wir": ("wir", "uns", "uns", "we", "us", "1p"),
    "sie_p": ("sie", "", "ihnen", "they", "them", "3p"),
}
POSSESSIVES = {"mein": "my", "sein": "his", "ihr": "her", "unser": "our"}

NAMES = ("Anna", "Peter", "Maria", "Paul")

# German preposition -> English for a place, English for a direction.
PLACE_PREPOSITIONS = {
    "in": ("in", "into"),
    "vor": ("in front of", "in front of"),
    "hinter": ("behind", "behind"),
}
TIMES = {
    "present": {"heute": "today", "jeden Tag": "every day", "am Abend": "in the evening"},
    "past": {"gestern": "yesterday", "letzte Woche": "last week", "am Abend": "in the evening"},
    "future": {"morgen": "tomorrow", "bald": "soon", "nächste Woche": "next week"},
}
DAYS = {"Montag": "Monday", "Dienstag": "Tuesday", "Freitag": "Friday", "Sonntag": "Sunday"}

UNITS = {
    "ein": "one",
    "zwei": "two",
    "drei": "three",
    "vier": "four",
    "fünf": "five",
    "sechs": "six",
    "sieben": "seven",
    "acht": "eight",
    "neun": "nine",
}
TENS = {
    "zwanzig": "twenty",
    "dreißig": "thirty",
    "vierzig": "forty",
    "fünfzig": "fifty",
    "sechzig": "sixty",
    "siebzig": "seventy",
    "achtzig": "eighty",
    "neunzig": "ninety",
}
CONJUNCTIONS = {"weil": "because", "obwohl": "although", "wenn": "when", "bevor": "before"}
