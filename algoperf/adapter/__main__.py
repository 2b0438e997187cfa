"""The process that imports an optimizer: reads a request as JSON, writes the path, or what is wrong, as JSON.

python -m algoperf.adapter <request.json> <answer.json>
"""

import json
import sys
from pathlib import Path

from algoperf.adapter import here
from algoperf.spec import UsageError


def main(request: Path, answer: Path) -> None:
    """Answers one request of `adapt.as_submission`."""
    asked = json.loads(request.read_text())
    eject = asked.pop("eject")
    try:
        path = here.as_submission(
            **{**asked, "root": Path(asked["root"])}, eject=Path(eject) if eject is not None else None
        )
        found = {"path": str(path)}
    except UsageError as error:
        found = {"error": str(error)}
    answer.write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
