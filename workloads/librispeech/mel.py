"""Constants of the log-mel front end of both speech models; imports no framework.

A frame is 25 ms of 16 kHz audio, every 10 ms, with a Hann window. The power of its spectrum is summed with 80
triangular weights of equal width on the mel scale. Source: AlgoPerf 0.6, whose front end is Lingvo's.
"""

import numpy as np

SAMPLE_RATE = 16_000
HOP = 160
WINDOW = 400
# Lingvo's pre-emphasis needs the sample before each one of the window.
FRAME = WINDOW + 1
"""Samples that a frame needs, and that decide whether it is padding: a window and one sample more."""
FFT_LENGTH = 512
NUM_BINS = 80
LOWEST_HZ, HIGHEST_HZ = 125.0, 7600.0
PREEMPHASIS = 0.97
SAMPLE_SCALE = 2.0**-15
"""Scale from 16-bit samples to [-1, 1)."""
# Energies below this are raised to it: silence would give minus infinity.
LOG_FLOOR = 1e-5


def num_frames(num_samples: int) -> int:
    """Number of frames of a clip.

    >>> num_frames(16_000), num_frames(320_000)
    (98, 1998)
    """
    if num_samples < FRAME:
        raise ValueError(f"Audio needs at least {FRAME} samples for one frame, got {num_samples}.")
    return (num_samples - FRAME) // HOP + 1


def hann_window() -> np.ndarray:
    """(WINDOW,) float32, periodic: its first value is 0."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)


def mel(hertz: float | np.ndarray) -> np.ndarray:
    """Frequencies on the mel scale (the natural-logarithm form of HTK)."""
    return 1127.0 * np.log1p(hertz / 700.0)


def mel_matrix() -> np.ndarray:
    """(FFT_LENGTH / 2 + 1, NUM_BINS) float32: triangles with peak 1, linear on the mel scale; the DC row is 0."""
    # NUM_BINS triangles overlap by half, so they need NUM_BINS + 2 edges.
    edges = np.linspace(mel(LOWEST_HZ), mel(HIGHEST_HZ), NUM_BINS + 2)
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    at = mel(np.linspace(0.0, SAMPLE_RATE / 2, FFT_LENGTH // 2 + 1))[:, None]
    weights = np.minimum((at - lower) / (centre - lower), (upper - at) / (upper - centre))
    weights = np.maximum(weights, 0.0)
    # As in Lingvo, the constant component of the signal does not count.
    weights[0] = 0.0
    return weights.astype(np.float32)


# Mean and standard deviation of each bin over the training audio, copied from AlgoPerf 0.6.
MEAN = np.array(
    [
        -7.6047816,
        -7.1206226,
        -6.8864245,
        -6.870577,
        -6.966772,
        -7.1084094,
        -6.9528027,
        -6.783994,
        -6.619552,
        -6.4876266,
        -6.412066,
        -6.3940477,
        -6.424487,
        -6.399371,
        -6.515827,
        -6.7138,
        -6.8476877,
        -6.9885,
        -6.9221387,
        -7.1461487,
        -7.20404,
        -7.0537553,
        -7.3140383,
        -7.122325,
        -7.302514,
        -7.1212144,
        -7.2425733,
        -7.1730537,
        -7.0979414,
        -7.0887475,
        -6.984991,
        -6.878773,
        -6.7602754,
        -6.6300945,
        -6.514577,
        -6.4245057,
        -6.3565135,
        -6.3178763,
        -6.266077,
        -6.246833,
        -6.2821527,
        -6.190839,
        -6.2484355,
        -6.147264,
        -6.0924726,
        -6.0171003,
        -5.9250402,
        -5.8535833,
        -5.820911,
        -5.811893,
        -5.8078375,
        -5.771463,
        -5.7453732,
        -5.7705655,
        -5.776564,
        -5.7831674,
        -5.7954087,
        -5.7994823,
        -5.8023477,
        -5.804712,
        -5.816818,
        -5.88448,
        -5.9727106,
        -6.044466,
        -6.1284866,
        -6.2257586,
        -6.3157496,
        -6.3906116,
        -6.49286,
        -6.5498457,
        -6.605432,
        -6.650838,
        -6.669176,
        -6.672689,
        -6.6842346,
        -6.697458,
        -6.7547183,
        -6.7949142,
        -6.863421,
        -6.9418654,
    ],
    np.float32,
)
STDDEV = np.array(
    [
        3.4353282,
        3.5962932,
        3.7012472,
        3.7369206,
        3.7535105,
        3.6936293,
        3.6922498,
        3.7641523,
        3.8419716,
        3.8999848,
        3.929424,
        3.931741,
        3.9139585,
        3.9031599,
        3.8692,
        3.8155081,
        3.764497,
        3.7099106,
        3.6965086,
        3.6003766,
        3.5493226,
        3.5465121,
        3.450036,
        3.4712813,
        3.408461,
        3.4408135,
        3.4104881,
        3.421764,
        3.4312851,
        3.419921,
        3.4305806,
        3.4382665,
        3.4580367,
        3.4817991,
        3.495871,
        3.5036793,
        3.5047574,
        3.4988735,
        3.493056,
        3.4822943,
        3.4594305,
        3.461277,
        3.4559064,
        3.4755423,
        3.497155,
        3.5326557,
        3.57052,
        3.5920312,
        3.5969074,
        3.59135,
        3.5865932,
        3.582681,
        3.5837743,
        3.589579,
        3.5819314,
        3.583787,
        3.5861185,
        3.588959,
        3.5922148,
        3.5939455,
        3.585663,
        3.5884113,
        3.5921023,
        3.587049,
        3.580657,
        3.5731068,
        3.5617533,
        3.5498073,
        3.5527375,
        3.5475366,
        3.538785,
        3.5256178,
        3.5031836,
        3.4922726,
        3.4879646,
        3.4725595,
        3.455839,
        3.4351828,
        3.4284294,
        3.429917,
    ],
    np.float32,
)
