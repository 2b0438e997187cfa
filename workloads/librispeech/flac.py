"""Reads FLAC recordings, with all checks that the format offers."""

import hashlib
from pathlib import Path

import numpy as np
import soundfile

from algoperf.spec import UsageError
from workloads.librispeech.corpus import SAMPLE_RATE

# After 'fLaC' and the header of the first block (STREAMINFO), the MD5 of all samples starts at byte 18 of that block.
# Source: RFC 9639, section 8.2.
_MD5 = slice(4 + 4 + 18, 4 + 4 + 18 + 16)


MAX_SAMPLES = 24 * 3600 * SAMPLE_RATE
"""A day. Libraries give an absurd number where a file does not say how long it is."""


def read(path: str | Path) -> np.ndarray:
    """The samples of a recording, (samples,) int16.

    Raises:
      UsageError: if the file is damaged, or is not 16 kHz, mono, 16 bit.
    """
    try:
        with soundfile.SoundFile(path) as file:
            found = (file.format, file.samplerate, file.channels, file.subtype)
            if found != ("FLAC", SAMPLE_RATE, 1, "PCM_16"):
                raise UsageError(
                    f"{path} is {found[0]}, {found[1]:,} Hz, {found[2]} channels, {found[3]}; "
                    f"LibriSpeech is FLAC, {SAMPLE_RATE:,} Hz, 1 channel, PCM_16."
                )
            if not 0 < len(file) < MAX_SAMPLES:
                raise UsageError(
                    f"{path} does not say how many samples it has, as those of LibriSpeech do. {_ADVICE}"
                )
            samples = file.read(dtype="int16")
            num_expected = len(file)
    except soundfile.SoundFileError as error:
        raise UsageError(f"{path} is not a sound FLAC file: {error} {_ADVICE}") from error
    with open(path, "rb") as file:
        expected = file.read(_MD5.stop)[_MD5]
    # Encoders may write zeros instead of a checksum.
    is_other = any(expected) and hashlib.md5(samples).digest() != expected
    if len(samples) != num_expected or is_other:
        raise UsageError(f"{path} is damaged: its samples are not those that were encoded. {_ADVICE}")
    return samples


_ADVICE = "Unpack the subset's archive again."
