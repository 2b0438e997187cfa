"""A small formant synthesizer: phonemes, a voice and a room -> 16-bit samples.

Glottal pulses and breath are filtered by a cascade of five resonators, whose frequencies glide from the targets of one
phoneme to those of the next (coarticulation); noise at a constriction is filtered by one resonator in parallel. Then
reflections and noise of the room are added. All parameters are rounded before the loops over samples, and these only
add and multiply, so that every machine makes the same samples.

Source: D. H. Klatt 1980, Software for a cascade/parallel formant synthesizer, https://doi.org/10.1121/1.383940.
"""

# Shapes: F control frames, N samples, R resonators

import dataclasses
from collections.abc import Sequence

import numpy as np

from algoperf.data.machine_code import compiled
from workloads.librispeech.corpus import SAMPLE_RATE
from workloads.librispeech.phonemes import PHONEMES, Segment

# Control parameters change slowly against the samples, so they are computed once per 2.5 ms only.
HOP = 40  # Samples per control frame, 2.5 ms.
_FRAME_SEC = HOP / SAMPLE_RATE
# Resonances of a uniform tube of 17.5 cm, closed at one end: odd multiples of 500 Hz.
_NEUTRAL = (500.0, 1500.0, 2500.0)
# The fourth and fifth formant vary little between phonemes, so they are constants of the voice.
_HIGHER_FORMANTS = (3400.0, 4500.0)
_BANDWIDTHS = np.array([70.0, 90.0, 130.0, 220.0, 300.0])
_GLIDE_SEC = 0.045  # Duration of formant transitions between phonemes.
_SWITCH_SEC = 0.012  # Duration of amplitude transitions.


@dataclasses.dataclass(frozen=True)
class Voice:
    """The parameters of a speaker."""

    pitch_hz: float
    formant_scale: float
    """Factor on formants, the inverse length of the vocal tract; 1 for the man of the phoneme table."""
    rate: float
    """Speaking rate; 1 is normal."""
    tilt: float
    """Pole of the low-pass filter on glottal pulses, in [0, 1)."""
    breath: float
    """Amplitude of noise in voiced sounds."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Voice":
        # Half of the voices are high with a short vocal tract, half low with a long one, roughly women and
        # men.
        is_high = rng.random() < 0.5
        return cls(
            pitch_hz=float(rng.uniform(160, 230) if is_high else rng.uniform(90, 145)),
            formant_scale=float(rng.uniform(1.05, 1.18) if is_high else rng.uniform(0.93, 1.04)),
            rate=float(rng.uniform(0.9, 1.12)),
            tilt=float(rng.uniform(0.8, 0.92)),
            breath=float(rng.uniform(0.01, 0.05)),
        )


@dataclasses.dataclass(frozen=True)
class Room:
    """The parameters of a recording session."""

    noise: float
    """Standard deviation, relative to that of speech."""
    noise_pole: float
    """Pole of the low-pass filter on the noise, in [0, 1)."""
    delays: np.ndarray
    """(R,) delays of reflections, in samples."""
    gains: np.ndarray
    """(R,) gains of reflections."""

    @classmethod
    def draw(cls, rng: np.random.Generator, is_clean: bool) -> "Room":
        # Decibels relative to the speech; 'other' subsets are noisier, because the real ones are harder.
        noise_db = rng.uniform(-40, -30) if is_clean else rng.uniform(-26, -18)
        decay_sec = rng.uniform(0.01, 0.03) if is_clean else rng.uniform(0.02, 0.06)
        strength = rng.uniform(0.05, 0.15) if is_clean else rng.uniform(0.15, 0.3)
        delays = np.sort(rng.integers(30, int(3 * decay_sec * SAMPLE_RATE), 16))
        signs = np.where(rng.random(16) < 0.5, -1.0, 1.0)
        gains = strength * signs * np.exp(-delays / (decay_sec * SAMPLE_RATE))
        return cls(
            noise=float(10 ** (noise_db / 20)),
            noise_pole=float(rng.uniform(0.0, 0.8)),
            delays=delays,
            gains=_rounded(gains, 2.0**-10),
        )


def _rounded(values: float | np.ndarray, step: float) -> np.ndarray:
    """Rounds to multiples of `step`, a power of two, because machines differ in the last bits of functions."""
    return np.rint(np.asarray(values) / step) * step


@dataclasses.dataclass
class Tracks:
    """Control parameters of a whole utterance, one row or value per frame."""

    formants: np.ndarray
    """(F, 5) Hz."""
    amplitudes: np.ndarray
    """(F, 3): voicing, aspiration, frication."""
    noise: np.ndarray
    """(F, 2) Hz: centre and bandwidth of frication."""


def segments_of(
    words: Sequence[Sequence[str]], voice: Voice, rng: np.random.Generator
) -> list[tuple[Segment, float]]:
    """Segments with their duration in seconds, for words given as phonemes."""
    found: list[tuple[Segment, float]] = [(Segment(0.0), rng.uniform(0.05, 0.12))]
    for place, phonemes in enumerate(words):
        if place:
            found.append((Segment(0.0), rng.uniform(0.015, 0.05)))
        for phoneme in phonemes:
            stretch = rng.uniform(0.88, 1.15) / voice.rate
            found += [(segment, segment.duration_sec * stretch) for segment in PHONEMES[phoneme]]
    return [*found, (Segment(0.0), rng.uniform(0.06, 0.12))]


def lengthened(
    segments: Sequence[tuple[Segment, float]], min_samples: int
) -> Sequence[tuple[Segment, float]]:
    """The segments, with silence at the end if the utterance would be shorter than `min_samples`."""
    missing = max(0, min_samples - num_samples(segments))
    return [*segments, (Segment(0.0), missing / SAMPLE_RATE)] if missing else segments


def num_samples(segments: Sequence[tuple[Segment, float]]) -> int:
    """Length of the utterance in samples, a whole number of frames."""
    return HOP * round(sum(duration for _, duration in segments) / _FRAME_SEC)


def make_tracks(segments: Sequence[tuple[Segment, float]], voice: Voice) -> Tracks:
    """Control parameters from the targets of the segments, smoothed over time."""
    num_frames = num_samples(segments) // HOP
    ends = np.cumsum([duration for _, duration in segments]) / _FRAME_SEC
    # Rounding can leave a last frame after the end of the last segment; it belongs to that segment.
    index = np.minimum(np.searchsorted(ends, np.arange(num_frames), side="right"), len(segments) - 1)
    targets = np.array(_with_neighbours([segment for segment, _ in segments]))
    formants = np.concatenate([targets, np.tile(_HIGHER_FORMANTS, (len(targets), 1))], axis=1)
    amplitudes = np.array([(s.voicing, s.aspiration, s.frication) for s, _ in segments])
    noise = np.array([(s.noise_hz, s.noise_bandwidth_hz) for s, _ in segments])
    return Tracks(
        _smoothed(formants[index] * voice.formant_scale, _GLIDE_SEC),
        _smoothed(amplitudes[index], _SWITCH_SEC),
        noise[index],
    )


def _with_neighbours(segments: Sequence[Segment]) -> list[tuple[float, float, float]]:
    """Formants per segment; a segment without targets takes those of the next segment with targets, else the last."""
    found: list[tuple[float, float, float] | None] = [segment.formants for segment in segments]
    following: tuple[float, float, float] | None = None
    for place in reversed(range(len(found))):
        following = found[place] = found[place] or following
    filled, last = [], _NEUTRAL
    for formants in found:
        last = formants or last
        filled.append(last)
    return filled


def _smoothed(values: np.ndarray, width_sec: float) -> np.ndarray:
    """(F, n) values, averaged twice, so that steps become smooth slopes of about `width_sec`."""
    # Odd, so that the average is centred. Two passes of a window make a slope about 1.5 times as long as it.
    width = max(1, round(width_sec / _FRAME_SEC / 1.5)) | 1
    for _ in range(2):
        padded = np.pad(values, ((width // 2 + 1, width // 2), (0, 0)), mode="edge")
        sums = np.cumsum(padded, axis=0)
        values = (sums[width:] - sums[:-width]) / width
    return values


def pitch_track(num_frames: int, voice: Voice, rng: np.random.Generator) -> np.ndarray:
    """(F,) pitch in Hz: falls by a fifth over the utterance, with random accents."""
    num_knots = 2 + num_frames // 80
    knots = np.linspace(1.1, 0.88, num_knots) * (1 + 0.06 * (2 * rng.random(num_knots) - 1))
    return voice.pitch_hz * np.interp(np.linspace(0, num_knots - 1, num_frames), np.arange(num_knots), knots)


def synthesize(
    segments: Sequence[tuple[Segment, float]], voice: Voice, room: Room, rng: np.random.Generator
) -> np.ndarray:
    """(N,) int16 samples at 16 kHz."""
    tracks = make_tracks(segments, voice)
    num_frames = len(tracks.formants)
    pitch = pitch_track(num_frames, voice, rng)
    # One call: the same numbers on every machine, whatever the loops below do.
    noise = rng.random((3, num_frames * HOP))
    level = 1000.0 * 10 ** rng.uniform(-0.25, 0.25)
    speech = _speak(
        _rounded(_resonators(tracks.formants, _BANDWIDTHS), 2.0**-20),
        _rounded(_resonators(tracks.noise[:, :1], tracks.noise[:, 1:]), 2.0**-20)[:, 0],
        _rounded(tracks.amplitudes, 2.0**-16),
        _rounded(pitch / SAMPLE_RATE, 2.0**-24),
        float(_rounded(voice.tilt, 2.0**-10)),
        float(_rounded(voice.breath, 2.0**-10)),
        noise[0],
        noise[1],
    )
    speech = _record(
        speech,
        room.delays,
        room.gains,
        noise[2],
        float(_rounded(room.noise, 2.0**-16)),
        float(_rounded(room.noise_pole, 2.0**-10)),
        float(_rounded(level, 2.0**-4)),
    )
    return np.clip(np.rint(speech), -32_768, 32_767).astype(np.int16)


def _resonators(frequencies: np.ndarray, bandwidths: np.ndarray) -> np.ndarray:
    """(F, R, 2) coefficients b, c of y[n] = (1 - b - c) x[n] + b y[n - 1] + c y[n - 2]."""
    radius = np.exp(-np.pi * bandwidths / SAMPLE_RATE)
    # Below the Nyquist frequency even for the shortest vocal tract; above it the resonator would alias.
    frequencies = np.minimum(frequencies, 0.48 * SAMPLE_RATE)
    b = 2 * radius * np.cos(2 * np.pi * frequencies / SAMPLE_RATE)
    c = np.broadcast_to(-(radius**2), b.shape)
    return np.stack([b, c], axis=-1)


@compiled()
def _speak(
    tract, friction, amplitudes, pitch, tilt, breath, glottal_noise, friction_noise
):  # pragma: no cover
    num_frames, num_resonators = tract.shape[:2]
    out = np.empty(num_frames * HOP)
    y1, y2 = np.zeros(num_resonators), np.zeros(num_resonators)
    f1 = f2 = glottis = phase = last = 0.0
    for frame in range(num_frames):
        before = max(frame - 1, 0)
        fb, fc = friction[frame, 0], friction[frame, 1]
        # A resonator of gain 1 at its centre instead of at 0 Hz.
        fa = (1.0 + fc) * 0.8
        for step in range(HOP):
            n = frame * HOP + step
            new = step / HOP
            voicing = (1 - new) * amplitudes[before, 0] + new * amplitudes[frame, 0]
            aspiration = (1 - new) * amplitudes[before, 1] + new * amplitudes[frame, 1]
            frication = (1 - new) * amplitudes[before, 2] + new * amplitudes[frame, 2]
            phase += pitch[frame]
            pulse = 0.0
            if phase >= 1.0:
                phase -= 1.0
                pulse = 10.0
            glottis = tilt * glottis + (1 - tilt) * pulse
            noise = glottal_noise[n] - 0.5
            x = voicing * (glottis + breath * noise) + 0.6 * aspiration * noise
            for r in range(num_resonators):
                b, c = tract[frame, r, 0], tract[frame, r, 1]
                # 1 - b - c makes the gain 1 at 0 Hz (Klatt 1980), so the cascade needs no levels
                # of its own.
                y = (1 - b - c) * x + b * y1[r] + c * y2[r]
                y2[r] = y1[r]
                y1[r] = y
                x = y
            f = fa * (friction_noise[n] - 0.5) + fb * f1 + fc * f2
            f2 = f1
            f1 = f
            # Radiation at the lips is approximately a difference of successive samples.
            value = x - 0.9 * last
            last = x
            out[n] = value + frication * f
    return out


@compiled()
def _record(speech, delays, gains, noise, noise_level, noise_pole, level):  # pragma: no cover
    size = len(speech)
    out = speech.copy()
    for r in range(len(delays)):
        for n in range(delays[r], size):
            out[n] += gains[r] * speech[n - delays[r]]
    energy = 0.0
    for n in range(size):
        energy += out[n] * out[n]
    scale = level / np.sqrt(energy / size + 1e-12)
    # Uniform noise through the filter has variance (1 - pole)^2 / (1 - pole^2) / 12.
    gain = noise_level * level * np.sqrt(12 * (1 + noise_pole) / (1 - noise_pole))
    state = 0.0
    for n in range(size):
        state = noise_pole * state + (1 - noise_pole) * (noise[n] - 0.5)
        out[n] = scale * out[n] + gain * state
    return out
