"""Refuses a commit whose subject is longer than 72 characters: git and its readers cut or wrap it there."""

import sys
from pathlib import Path

LIMIT = 72


def subject(message: str) -> str:
    """What git takes for it: the lines before the first empty one, without comments, as one."""
    text = message.split("\n# ------------------------ >8", 1)[0]  # What --verbose adds.
    lines = [line.strip() for line in text.splitlines() if not line.startswith("#")]
    return " ".join("\n".join(lines).strip().split("\n\n", 1)[0].split("\n"))


def main() -> int:
    """The exit code for the message in the file that git names: 1 where the subject is too long."""
    found = subject(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if len(found) <= LIMIT or found.startswith(("fixup! ", "squash! ", "amend! ")):
        return 0
    print(f"The subject has {len(found)} characters, more than {LIMIT}: {found}")
    print(f"Up to here it fits: {found[:LIMIT]}")
    print("Say what changes in one line, leave one empty, and give the reasons in the body.")
    return 1


if __name__ == "__main__":
    sys.exit(main())
