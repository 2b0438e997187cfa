"""Acoustic targets of phonemes for the formant synthesizer.

Formants of vowels are those of adult men in Peterson and Barney 1952, https://doi.org/10.1121/1.1906875; of
consonants, rounded values in the manner of Klatt 1980, https://doi.org/10.1121/1.383940.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Segment:
    """A piece of a phoneme with constant targets."""

    duration_sec: float
    """Duration at a normal speaking rate."""
    formants: tuple[float, float, float] | None = None
    """Formants of a man in Hz; None takes those of the neighbouring segments."""
    voicing: float = 0.0
    """Amplitude of the glottal pulses; 1 in vowels."""
    aspiration: float = 0.0
    """Amplitude of noise at the glottis."""
    frication: float = 0.0
    """Amplitude of noise at a constriction, which is not filtered by the formants."""
    noise_hz: float = 4000.0
    """Centre frequency of the frication."""
    noise_bandwidth_hz: float = 1000.0


def _vowel(first: float, second: float, third: float) -> tuple[Segment, ...]:
    return (Segment(0.090, (first, second, third), voicing=1.0),)


def _sonorant(voicing: float, first: float, second: float, third: float) -> tuple[Segment, ...]:
    return (Segment(0.078, (first, second, third), voicing=voicing),)


def _fricative(
    noise: tuple[float, float, float], formants: tuple[float, float, float], voicing: float = 0.0
) -> tuple[Segment, ...]:
    frication, noise_hz, bandwidth = noise
    return (Segment(0.086, formants, voicing, 0.0, frication, noise_hz, bandwidth),)


def _stop(
    noise: tuple[float, float, float],
    formants: tuple[float, float, float],
    voiced: bool,
    burst_sec: float = 0.022,
) -> tuple[Segment, ...]:
    frication, noise_hz, bandwidth = noise
    closure = Segment(0.042, formants, voicing=0.15 if voiced else 0.0)
    burst = Segment(burst_sec, formants, 0.2 if voiced else 0.0, 0.0, frication, noise_hz, bandwidth)
    release = Segment(0.016, None, voicing=0.6) if voiced else Segment(0.022, None, aspiration=0.35)
    return closure, burst, release


_LIPS, _TEETH, _PALATE = (340.0, 900.0, 2150.0), (340.0, 1750.0, 2650.0), (320.0, 2050.0, 2350.0)
_S, _SH, _F, _TH = (
    (0.75, 6000.0, 1200.0),
    (0.75, 3100.0, 900.0),
    (0.3, 5000.0, 5000.0),
    (0.22, 7200.0, 1500.0),
)

PHONEMES: dict[str, tuple[Segment, ...]] = {
    "A": _vowel(730, 1090, 2440),
    "E": _vowel(530, 1840, 2480),
    "I": _vowel(390, 1990, 2550),
    "O": _vowel(570, 840, 2410),
    "U": _vowel(620, 1250, 2390),
    "EE": _vowel(270, 2290, 3010),
    "OO": _vowel(300, 870, 2240),
    "M": _sonorant(0.4, 250, 950, 2150),
    "N": _sonorant(0.4, 250, 1650, 2550),
    "L": _sonorant(0.55, 360, 1050, 2850),
    "R": _sonorant(0.6, 350, 1200, 1600),
    "W": _sonorant(0.55, 290, 620, 2200),
    "Y": _sonorant(0.6, 270, 2200, 3000),
    "S": _fricative(_S, _TEETH),
    "Z": _fricative((0.4, *_S[1:]), _TEETH, voicing=0.35),
    "SH": _fricative(_SH, _PALATE),
    "F": _fricative(_F, _LIPS),
    "V": _fricative((0.15, *_F[1:]), _LIPS, voicing=0.4),
    "TH": _fricative(_TH, (340.0, 1400.0, 2600.0), voicing=0.1),
    "H": (Segment(0.070, None, aspiration=0.6),),
    "P": _stop((0.5, 900.0, 800.0), _LIPS, voiced=False),
    "B": _stop((0.4, 900.0, 800.0), _LIPS, voiced=True),
    "T": _stop((0.8, 4600.0, 1500.0), _TEETH, voiced=False),
    "D": _stop((0.5, 4600.0, 1500.0), _TEETH, voiced=True),
    "K": _stop((0.8, 2000.0, 500.0), _PALATE, voiced=False),
    "G": _stop((0.5, 2000.0, 500.0), _PALATE, voiced=True),
    "CH": _stop(_SH, _PALATE, voiced=False, burst_sec=0.050),
}
