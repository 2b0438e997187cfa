"""What comes with this package beside code, in the repository as well as where it is installed.

In the repository these files lie where people look for them; a wheel has them within the packages (`setup.py`).
"""

from collections.abc import Iterator
from pathlib import Path

from algoperf import files, frameworks
from algoperf.commands import ROOT
from algoperf.spec import UsageError

ALGORITHMS = ROOT / "reference_algorithms"
INSTALLED = Path(__file__).resolve().parent / "shipped_files"
"""Where a wheel has them; not in the repository."""


def place(name: str) -> Path:
    """The path of a file or folder that the repository has under this name, wherever it is.

    >>> place("RULES.md").name
    'RULES.md'
    """
    installed = INSTALLED / name
    return installed if installed.exists() else ROOT / name


def template() -> Path:
    """The folder of the submission to copy."""
    return place("submissions/template")


def algorithms() -> dict[str, Path]:
    """Name -> folder of the reference algorithms, each a submission."""
    own = frameworks.submission_files()
    return {
        folder.name: folder
        for folder in sorted(ALGORITHMS.iterdir())
        if any((folder / file).is_file() for file in own)
    }


def _named(given: str) -> Iterator[Path]:
    """Folders that a name may stand for."""
    name = given.rstrip("/").removeprefix(f"{ALGORITHMS.name}/")
    if name in (own := algorithms()):
        yield own[name]
    if name in ("template", "submissions/template"):
        yield template()


def submission(given: Path | str) -> Path:
    """The path of a submission that is given as a path, or by the name of one that ships.

    What is in the working directory goes first. A path that nothing stands for comes back as it is.

    >>> submission("nadamw").parent == ALGORITHMS
    True

    Raises:
      UsageError: for the home folder of a user who has none.
    """
    path = files.expanded(given)
    if path.exists():
        return path
    return next(_named(str(given)), path)


def copy_of_template(folder: Path) -> list[Path]:
    """Copies the template into a folder that is not there yet, or is empty; returns the files.

    Raises:
      UsageError: if something is there.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already: give the name of a folder that is not.")
    files.make_folder(folder, "The folder")
    written = []
    for source in sorted(template().iterdir()):
        if source.is_file():
            files.write_bytes(folder / source.name, source.read_bytes())
            written.append(folder / source.name)
    return written
