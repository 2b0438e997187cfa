"""JPEG bytes -> pixels, by libjpeg-turbo; what the sources hold that is no RGB JPEG is made one at preparation."""

import io
from typing import Any

import numpy as np

from algoperf.spec import UsageError

QUALITY = 100  # Of images that had to be written anew, as in TFDS.
TRUNCATED = "Premature end"  # In libjpeg's warning about a file that stops too early.


def decode(content: Any, buffer: np.ndarray | None = None) -> np.ndarray:
    """(height, width, 3) uint8 pixels of a JPEG in any colour space.

    Decoding follows the JPEG standard's accurate inverse DCT and libjpeg's smooth ("fancy") chroma upsampling, as
    TensorFlow's does by default; the fast variants save less than 5 % of the time. Recoverable damage is passed
    over: `checked` has refused what is cut short.

    Args:
      content: the file, any object with the buffer protocol.
      buffer: (n,) uint8 memory to decode into, if it is large enough; the result is then a view of it.
    """
    import simplejpeg

    if buffer is not None:
        try:
            return simplejpeg.decode_jpeg(content, "RGB", buffer=buffer, strict=False)
        except ValueError:
            height, width, _, _ = simplejpeg.decode_jpeg_header(content, strict=False)
            if height * width * 3 <= buffer.size:
                raise
    return simplejpeg.decode_jpeg(content, "RGB", strict=False)


def checked(content: bytes, where: str) -> bytes:
    """The file as an RGB or grey JPEG; a PNG or a CMYK JPEG, as ILSVRC 2012 holds some, is written anew.

    Raises:
      UsageError: if it cannot be decoded or is cut short; the message opens with `where`.
    """
    import simplejpeg

    if content.startswith(b"\x89PNG"):
        from PIL import Image

        with Image.open(io.BytesIO(content)) as image:
            return encode(np.asarray(image.convert("RGB")))
    try:
        _, _, colour_space, _ = simplejpeg.decode_jpeg_header(content, strict=False)
        pixels = simplejpeg.decode_jpeg(content, "RGB")
    except ValueError as error:
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
    """A JPEG of (height, width, 3) uint8 pixels with chroma at half resolution."""
    import simplejpeg

    return simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality, "RGB", "420")
