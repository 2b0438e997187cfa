"""Finds what is not finite, while a submission trains: at which update it came first, and in which array."""

import numpy as np

from algoperf.spec import UsageError

SHOWN = 5
"""So many arrays are named."""


class Seen:
    """Loss, gradients and parameters of one update after the other.

    >>> seen = Seen()
    >>> seen.take("loss", np.float32(0.5))
    >>> seen.check(1, {"w": np.array([1.0, np.nan])})
    Traceback (most recent call last):
    ...
    algoperf.spec.UsageError: Update 1 makes parameters that are not finite: w (1 of 2 values NaN).
    """

    def __init__(self) -> None:
        self.loss: float | None = None
        """The last one of the update; None where the submission has asked the workload for none."""
        self.num_gradients = 0
        """Arrays of gradients that were looked at since the last check."""
        self._bad: dict[str, str] = {}

    def take(self, name: str, value: np.ndarray) -> None:
        """See `backends.base.Saw`."""
        if name == "loss":
            self.loss = float(value)
        else:
            self.num_gradients += 1
        described = _described(value)
        if described is not None:
            self._bad.setdefault(name, described)

    def check(self, update: int, weights: dict[str, np.ndarray]) -> str:
        """What to say of an update in whose numbers all is finite.

        Args:
          update: its number, from 1.
          weights: name -> array after it, of parameters and model state.

        Raises:
          UsageError: naming the loss, gradients or parameters that are not finite, the earliest of these alone.
        """
        bad, gradients, loss = self._bad, self.num_gradients, self.loss
        self._bad, self.num_gradients, self.loss = {}, 0, None
        if "loss" in bad:
            raise UsageError(f"Update {update} computes a loss that is not finite: {bad['loss']}.")
        if bad:
            told = "" if loss is None else f", of a loss of {loss:.6g}"
            named = {name.removeprefix("gradient of "): words for name, words in bad.items()}
            raise UsageError(
                f"Update {update} computes gradients that are not finite{told}: {_listed(named)}."
            )
        found = {name: _described(value) for name, value in weights.items()}
        wrong = {name: words for name, words in found.items() if words is not None}
        if wrong:
            whence = " from finite gradients" if gradients else ""
            raise UsageError(
                f"Update {update} makes parameters that are not finite{whence}: {_listed(wrong)}."
            )
        words = ["" if loss is None else f"loss {loss:.6g}", "gradients finite" if gradients else ""]
        return ", ".join([*filter(None, words), "parameters finite"])


def _described(value: np.ndarray) -> str | None:
    """How much of an array is not finite; None where all is, or where it holds no real numbers."""
    if np.asarray(value).dtype.kind in "biuSUO":
        return None
    value = np.asarray(value, np.float32)  # Short floats of JAX are no kind of NumPy's own.
    num_nan, num_infinite = int(np.isnan(value).sum()), int(np.isinf(value).sum())
    if not num_nan + num_infinite:
        return None
    parts = [f"{count} {word}" for count, word in ((num_nan, "NaN"), (num_infinite, "infinite")) if count]
    if value.size == 1:
        return "NaN" if num_nan else "infinite"
    return " and ".join(parts).replace(" ", f" of {value.size} values ", 1)


def _listed(found: dict[str, str]) -> str:
    named = [f"{name} ({words})" for name, words in list(found.items())[:SHOWN]]
    more = len(found) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")
