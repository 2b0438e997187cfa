"""A SkyPilot task whose nodes share the trials: node r of n runs trials r, r + n, r + 2n, and so on.

Format: https://docs.skypilot.co/en/latest/reference/yaml-spec.html.
"""

import shlex
from typing import Any

from campaign.containers import Trials

END = "END_OF_TRIALS"
GPU = "A100"
"""That of the official suites."""


def task(trials: Trials) -> dict[str, Any]:
    """The content of skypilot.yaml."""
    options = trials.options
    resources: dict[str, Any] = {"image_id": f"docker:{trials.image}", "use_spot": False}
    if options.cpus_per_trial is not None:
        resources["cpus"] = f"{options.cpus_per_trial}+"
    if options.mem_bytes is not None:
        resources["memory"] = f"{-(-options.mem_bytes // 2**30)}+"
    found: dict[str, Any] = {
        "name": "algoperf",
        "num_nodes": min(options.workers or 1, len(trials.own)),
        "resources": resources,
        "volumes": {trials.mount: trials.claim},
        "run": _script(trials),
    }
    if options.gpus_per_trial:
        # Of another kind: sky launch --gpus=<kind>:<number>.
        resources["accelerators"] = {GPU: options.gpus_per_trial}
    return found


def _script(trials: Trials) -> str:
    """Runs the node's share; one trial that fails does not stop the others, and the task then fails at its end."""
    command = shlex.join([*trials.program, *trials.shared])
    lines = [
        "failed=0",
        "index=0",
        "while IFS= read -r line; do",
        '  if [ $((index % SKYPILOT_NUM_NODES)) -eq "$SKYPILOT_NODE_RANK" ]; then',
        '    eval "set -- $line"',
        f'    {command} "$@" < /dev/null || failed=1',
        "  fi",
        "  index=$((index + 1))",
        f"done << '{END}'",
        trials.lines().rstrip("\n"),
        END,
        'exit "$failed"',
    ]
    return "\n".join(lines) + "\n"
