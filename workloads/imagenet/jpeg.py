"""Decodes JPEGs with libjpeg-turbo; at preparation, converts images of other formats to RGB JPEGs."""

import io
from typing import Any

import numpy as np

from algoperf.spec import UsageError

QUALITY = 100  # Of images that are encoded again, as in TFDS.
TRUNCATED = "Premature end"  # Part of libjpeg's warning about an incomplete file.


def decode(content: Any, buffer: np.ndarray | None = None) -> np.ndarray:
    """(height, width, 3) uint8 pixels of a JPEG in any colour space.

    Decoding uses the accurate inverse DCT and libjpeg's smooth ("fancy") chroma upsampling, as TensorFlow does by
    default; the fast variants save less than 5 % of the time. Damage that libjpeg can recover from is ignored here,
    because `checked` has already refused incomplete files.

    Args:
      content: the file's bytes, an object with the buffer protocol.
      buffer: (n,) uint8 memory. If it is large enough, the result is a view of it.
    """
    import simplejpeg

    if buffer is not None:
        try:
            return simplejpeg.decode_jpeg(content, "RGB", buffer=buffer, strict=False)
        except ValueError:
            # A ValueError has two causes: too small a buffer, which is no error, or a broken file.
            height, width, _, _ = simplejpeg.decode_jpeg_header(content, strict=False)
            if height * width * 3 <= buffer.size:
                raise
    return simplejpeg.decode_jpeg(content, "RGB", strict=False)


def checked(content: bytes, where: str) -> bytes:
    """The file as an RGB or grey JPEG. PNG files and CMYK JPEGs, of which ILSVRC 2012 has some, are encoded again.

    Raises:
      UsageError: if it cannot be decoded or is incomplete; the message starts with `where`.
    """
    import simplejpeg

    if content.startswith(b"\x89PNG"):
        from PIL import Image

        with Image.open(io.BytesIO(content)) as image:
            return encode(np.asarray(image.convert("RGB")))
    try:
        _, _, colour_space, _ = simplejpeg.decode_jpeg_header(content, strict=False)
        pixels = simplejpeg.decode_jpeg(content, "RGB")
    except (ValueError, KeyError) as error:  # KeyError: cut before the part that names its colours.
        if isinstance(error, KeyError):
            raise UsageError(
                f"{where} is no complete JPEG image (its header is cut). Put a sound copy there."
            ) from None
        if TRUNCATED in str(error) or not _is_decodable(content):
            raise UsageError(
                f"{where} is no complete JPEG image ({error}). Put a sound copy there."
            ) from error
        return content
    return encode(pixels) if colour_space in ("CMYK", "YCCK") else content


def _is_decodable(content: bytes) -> bool:
    import simplejpeg

    try:
        simplejpeg.decode_jpeg(content, "RGB", strict=False)
    except ValueError:
        return False
    return True


def encode(pixels: np.ndarray, quality: int = QUALITY) -> bytes:
    """Encodes (height, width, 3) uint8 pixels as a JPEG with chroma at half resolution."""
    import simplejpeg

    return simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality, "RGB", "420")
