"""What the file of an attempt may hold: it may have been damaged, or written by somebody else."""

from pathlib import Path
from typing import Any

from algoperf import typed_json
from algoperf.spec import UsageError

MAX_PID = 2**31 - 1
TYPES = {"outcome": str | None, "host": str | None, "holders": list[dict[str, Any]], "forgiven": bool | None}


def checked(path: Path, content: object, outcomes: list[str]) -> dict[str, Any]:
    """The content of an attempt's file, with `holders` even where nobody is named.

    Args:
      path: of the file, for the message.
      content: as read, or why it is no JSON.
      outcomes: the words for how an attempt can have ended.

    Raises:
      UsageError: if it is of another form.
    """
    try:
        if isinstance(content, ValueError):
            raise typed_json.MalformedError(f"it is not readable as JSON ({content})")
        found: dict[str, Any] = dict(typed_json.value_of(dict[str, Any], content))
        for name, hint in TYPES.items():
            if name in found:
                typed_json.value_of(hint, found[name], name)
        if found.get("outcome") not in (None, *outcomes):
            raise typed_json.MalformedError(
                f"'outcome' must be one of {', '.join(outcomes)}, got {typed_json.shown(found['outcome'])}"
            )
        for number, holder in enumerate(found.setdefault("holders", [])):
            pid = typed_json.value_of(int, holder.get("pid"), f"holders[{number}].pid")
            if not 0 < pid <= MAX_PID:
                raise typed_json.MalformedError(
                    f"'holders[{number}].pid' must be the number of a process, got {pid}"
                )
    except typed_json.MalformedError as error:
        raise UsageError(
            f"{path} is damaged: {error}. Restore it, or delete it to try the trial again."
        ) from None
    return found
