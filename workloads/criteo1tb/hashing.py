"""FarmHash Fingerprint64 of up to 64 bytes, compiled: the hash behind AlgoPerf's Criteo features.

Written from the published definition (https://github.com/google/farmhash, Fingerprint64 = farmhashna::Hash64).
All arithmetic is modulo 2**64; functions take the text as uint8 and positions in it.
"""

import numpy as np

from algoperf.data.machine_code import compiled

MAX_LENGTH = 64  # Longer texts need the definition's fourth case; no day file has them.

# Primes of the definition, k0 to k2.
_K0 = np.uint64(0xC3A5C85C97CB3127)
_K1 = np.uint64(0xB492B66FBE98F273)
_K2 = np.uint64(0x9AE16A3B2F90404F)
_jit = compiled()


@_jit
def load_64(text, start):
    """Eight bytes as a little-endian number; LLVM compiles the loop to one load."""
    value = np.uint64(0)
    for index in range(8):
        value |= np.uint64(text[start + index]) << np.uint64(8 * index)
    return value


@_jit
def load_32(text, start):
    value = np.uint64(0)
    for index in range(4):
        value |= np.uint64(text[start + index]) << np.uint64(8 * index)
    return value


@_jit
def rotate(value, shift):
    """Rotates to the right by 1 to 63 bits."""
    return (value >> np.uint64(shift)) | (value << np.uint64(64 - shift))


@_jit
def mix(u, v, factor):
    """128 bits -> 64 (HashLen16 in the definition)."""
    a = (u ^ v) * factor
    a ^= a >> np.uint64(47)
    b = (v ^ a) * factor
    b ^= b >> np.uint64(47)
    return b * factor


@_jit
def hash_8_to_16(first, last, length):
    """Fingerprint64 of a text of 8 to 16 bytes, given its first and its last eight bytes."""
    factor = _K2 + np.uint64(2 * length)
    a, b = first + _K2, last
    c = rotate(b, 37) * factor + a
    d = (rotate(a, 25) + b) * factor
    return mix(c, d, factor)


@_jit
def fingerprint_64(text, start, length):
    """Fingerprint64 of text[start : start + length], at most `MAX_LENGTH` bytes."""
    stop = start + length
    if length <= 16:
        if length >= 8:
            return hash_8_to_16(load_64(text, start), load_64(text, stop - 8), length)
        if length >= 4:
            factor = _K2 + np.uint64(2 * length)
            first = np.uint64(length) + (load_32(text, start) << np.uint64(3))
            return mix(first, load_32(text, stop - 4), factor)
        if length > 0:
            y = np.uint64(text[start]) + (np.uint64(text[start + length // 2]) << np.uint64(8))
            z = np.uint64(length) + (np.uint64(text[stop - 1]) << np.uint64(2))
            value = (y * _K2) ^ (z * _K0)
            return (value ^ (value >> np.uint64(47))) * _K2
        return _K2
    factor = _K2 + np.uint64(2 * length)
    if length <= 32:
        a = load_64(text, start) * _K1
        b = load_64(text, start + 8)
        c = load_64(text, stop - 8) * factor
        d = load_64(text, stop - 16) * _K2
        return mix(rotate(a + b, 43) + rotate(c, 30) + d, a + rotate(b + _K2, 18) + c, factor)
    a = load_64(text, start) * _K2
    b = load_64(text, start + 8)
    c = load_64(text, stop - 8) * factor
    d = load_64(text, stop - 16) * _K2
    y = rotate(a + b, 43) + rotate(c, 30) + d
    z = mix(y, a + rotate(b + _K2, 18) + c, factor)
    e = load_64(text, start + 16) * factor
    f = load_64(text, start + 24)
    g = (y + load_64(text, stop - 32)) * factor
    h = (z + load_64(text, stop - 24)) * factor
    return mix(rotate(e + f, 43) + rotate(g, 30) + h, e + rotate(f + a, 18) + g, factor)
