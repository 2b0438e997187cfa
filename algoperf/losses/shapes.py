"""Checks the shapes of a loss's arguments, the same for every framework; shapes that would broadcast are refused."""

from algoperf.spec import UsageError

Shape = tuple[int, ...]


def same(loss: str, labels: Shape, logits: Shape) -> None:
    """Raises UsageError unless both have the same shape.

    (B, 1) logits beside (B,) labels would broadcast to (B, B): every prediction against every label.

    >>> same("squared_error", (8,), (8, 1))
    Traceback (most recent call last):
    algoperf.spec.UsageError: squared_error takes labels and logits of one shape, got labels (8,) and logits (8, 1).
    """
    if tuple(labels) != tuple(logits):
        _refuse(loss, "labels and logits of one shape", labels, logits)


def classes(loss: str, labels: Shape, logits: Shape) -> None:
    """Raises UsageError unless logits are (..., classes) and labels (...,) or (..., classes)."""
    if not logits or tuple(labels) not in (tuple(logits), tuple(logits[:-1])):
        _refuse(loss, "logits (..., classes) and labels (...,) or (..., classes)", labels, logits)


def independent_labels(loss: str, labels: Shape, logits: Shape) -> None:
    """Raises UsageError unless both are (batch, labels); with one logit each, labels may be (batch,)."""
    allowed = [tuple(logits)] + [tuple(logits[:-1])] * (tuple(logits[-1:]) == (1,))
    if len(logits) < 2 or tuple(labels) not in allowed:
        _refuse(loss, "labels and logits of one shape (batch, labels)", labels, logits)


def sequences(loss: str, tokens: Shape, token_paddings: Shape, logits: Shape, frame_paddings: Shape) -> None:
    """Raises UsageError unless tokens and paddings are (batch, tokens), logits (batch, frames, classes) and paddings
    (batch, frames)."""
    fits = len(tokens) == 2 and len(logits) == 3 and tokens[0] == logits[0]
    if not (fits and tuple(token_paddings) == tuple(tokens) and tuple(frame_paddings) == tuple(logits[:2])):
        raise UsageError(
            f"{loss} takes tokens and their paddings of one shape (batch, tokens), logits (batch, frames, classes) and "
            f"paddings (batch, frames); got {tuple(tokens)}, {tuple(token_paddings)}, {tuple(logits)} and "
            f"{tuple(frame_paddings)}."
        )


def _refuse(loss: str, wanted: str, labels: Shape, logits: Shape) -> None:
    raise UsageError(f"{loss} takes {wanted}, got labels {tuple(labels)} and logits {tuple(logits)}.")
