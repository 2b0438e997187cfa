"""Whether training and evaluation fit into the memory of one device, said before the clock starts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from algoperf.spec import UsageError

COPIES = 4
"""Of the parameters that a training holds at least: themselves, gradients, and two moments."""
ELSEWHERE = (
    "let another device evaluate (--evaluator_device=cpu, or the number of a GPU), take a larger device, or leave out "
    "--referee."
)
CGROUP = Path("/sys/fs/cgroup")


def available_bytes() -> int:
    """Memory of this host that processes of this one can still have."""
    found = [int(psutil.virtual_memory().available)]
    try:
        limit, used = ((CGROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
        found.append(max(0, int(limit) - int(used)))
    except (OSError, ValueError):  # 'max', or no control group of version 2.
        pass
    return min(found)


def check(
    memory: Mapping[str, Any],
    *,
    weights_bytes: int,
    num_processes: int,
    is_training_there: bool,
    available_bytes: int,
) -> None:
    """Refuses what does not fit.

    Args:
      memory: what the evaluator says, once it has evaluated: 'place', a name; 'peak_bytes' of it so far;
        'base_bytes', of that what any process needs; 'total_bytes' of its device, or None where it uses the host's.
      weights_bytes: size of parameters and model state.
      num_processes: how many train together; one of them on the evaluator's device, or all on the host.
      is_training_there: whether the training uses the same memory.
      available_bytes: of the host, before anything was started.

    Raises:
      UsageError: names both needs and what there is.
    """
    total, is_host = memory.get("total_bytes"), memory.get("total_bytes") is None
    has = available_bytes if is_host else int(total or 0)
    needs = int(memory["peak_bytes"])
    training = 0
    if is_training_there:
        one = COPIES * weights_bytes + (int(memory["base_bytes"]) if is_host else 0)
        training = one * (num_processes if is_host else 1)
    if needs + training <= has:
        return
    beside = f", and the training {_gib(training)} at least" if training else ""
    raise UsageError(
        f"--referee: {memory['place']} has {_gib(has)}{' free' if is_host else ''}; evaluating takes {_gib(needs)}"
        f"{beside}: {ELSEWHERE}"
    )


def too_small(place: str) -> UsageError:
    """For an evaluator that ran out of memory."""
    return UsageError(f"--referee: evaluating ran out of its part of the memory of {place}: {ELSEWHERE}")


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.2f} GiB"
