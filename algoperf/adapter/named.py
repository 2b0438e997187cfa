"""What the name of an optimizer means: a dotted path, a class in a file, or a submission after all."""

import re
from dataclasses import dataclass
from pathlib import Path

from algoperf import files
from algoperf.spec import UsageError

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_IN_FILE = re.compile(r"(?P<file>.+\.py):(?P<name>[A-Za-z_]\w*)")


@dataclass(frozen=True)
class Named:
    """An optimizer, as a command names it."""

    text: str
    """Dotted path, or <file>.py:<name>."""
    file: Path | None
    """The file that defines it, from the root; None for one of a package."""
    module: str
    """Dotted path of its module; of a file, the file's name."""
    name: str
    """Of the class or function in it."""

    @property
    def folder_name(self) -> str:
        """Its name in results.

        >>> parse("torch.optim.AdamW").folder_name
        'torch_optim_adamw'
        """
        return f"{self.module}.{self.name}".replace(".", "_").lower()


def is_optimizer(what: object) -> bool:
    """Whether something names an optimizer, or is one, and no submission; nothing is imported.

    >>> is_optimizer("torch.optim.AdamW"), is_optimizer("./mine.py:Mine"), is_optimizer("submissions/mine")
    (True, True, False)
    """
    if isinstance(what, Path):
        return False
    if not isinstance(what, str):
        return callable(what)
    if _IN_FILE.fullmatch(what):
        return True
    is_file = what.endswith(".py") or files.expanded(what).exists()
    return bool(_DOTTED.fullmatch(what)) and not is_file


def parse(text: str) -> Named:
    """What a text for which `is_optimizer` holds names.

    Raises:
      UsageError: if it names a file that is not there.
    """
    found = _IN_FILE.fullmatch(text)
    if found is None:
        module, _, name = text.rpartition(".")
        return Named(text, None, module, name)
    file = files.expanded(found["file"]).absolute()
    if not file.is_file():
        raise UsageError(f"No file at {found['file']!r}: give <file>.py:<class or function>.")
    if not file.stem.isidentifier():
        raise UsageError(
            f"{file.name} cannot be imported by its name: rename it to letters, digits and underscores."
        )
    return Named(text, file, file.stem, found["name"])
