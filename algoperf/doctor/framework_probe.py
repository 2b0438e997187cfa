"""Imports a framework and says what it runs on, as JSON: a process of its own, so that the doctor imports none.

python -m algoperf.doctor.framework_probe <framework>
"""

import contextlib
import json
import sys
import time
from typing import Any

from algoperf import backends


def main(arguments: list[str]) -> int:
    """Prints one JSON object; returns 0, whatever it holds."""
    (name,) = arguments
    found: dict[str, Any] = {}
    with contextlib.redirect_stdout(sys.stderr):  # Some libraries print when they are imported.
        try:
            found.update(_looked_at(name))
        except Exception as error:  # Broken installations fail in many ways.
            found["error"] = f"{type(error).__name__}: {' '.join(str(error).split())}"
    print(json.dumps(found))
    return 0


def _looked_at(name: str) -> dict[str, Any]:
    start = time.perf_counter()
    backend = backends.get_backend(name)
    return {
        "cuda": backends.launch(name).cuda_of_build(),
        "platform": backend.platform(),
        "device": backend.describe_device(),
        "import_sec": time.perf_counter() - start,
        "peak_per_sec": backend.peak_operations_per_sec(),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
