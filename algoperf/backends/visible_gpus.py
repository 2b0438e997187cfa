"""Which GPUs of this machine a child process sees; both frameworks read the same variable. Imports neither."""

import os
from pathlib import Path

from algoperf.spec import UsageError

VARIABLE = "CUDA_VISIBLE_DEVICES"
NONE = ""
"""Its value that hides all of them."""
EVALUATOR_SHARE = 0.2
"""Of the memory of a GPU on which a trainee trains, too, which has JAX's usual 0.75; the rest is the driver's."""
DRIVER = Path("/proc/driver/nvidia/gpus")


def visible() -> list[str] | None:
    """What names each GPU that this process sees, in the order of their numbers; None where nobody can say."""
    said = os.environ.get(VARIABLE)
    if said is not None:
        found = [name.strip() for name in said.split(",") if name.strip()]
        return found[: found.index("-1")] if "-1" in found else found  # What follows -1 is hidden, too.
    try:
        return [str(number) for number, _ in enumerate(sorted(DRIVER.iterdir()))]
    except OSError:
        return None


def only(number: int) -> dict[str, str]:
    """The environment of a child that sees one of them.

    Args:
      number: among those that this process sees, from 0.

    Raises:
      UsageError: if there is none.
    """
    found = visible()
    if found is None or number >= len(found):
        seen = "no GPU is seen here" if not found else f"GPUs 0 to {len(found) - 1} are seen here"
        raise UsageError(
            f"--evaluator_device={number} names a GPU, and {seen}: give one of them, or cpu, or same."
        )
    return {VARIABLE: found[number]}


def all_but(number: int) -> dict[str, str]:
    """The environment of a child that sees the others.

    Raises:
      UsageError: if there is no such GPU, or no other.
    """
    (own,) = only(number).values()
    others = [name for name in visible() or () if name != own]
    if not others:
        raise UsageError(
            f"--evaluator_device={number} is the only GPU that is seen here, and nothing is left to train on: say "
            "--evaluator_device=same, or cpu."
        )
    return {VARIABLE: ",".join(others)}
