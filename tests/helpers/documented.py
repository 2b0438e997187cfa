"""The workload of docs/adding_a_workload.md, and copies of it with a mistake each."""

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "adding_a_workload.md"
MISTAKES = ROOT / "tests" / "workloads" / "mistakes"
NAME = "diabetes"


def files():
    """File name -> text of each code block that names its file."""
    blocks = re.findall(r"^<!-- (\S+) -->\n```\w+\n(.*?)^```$", PAGE.read_text(), flags=re.M | re.S)
    return dict(blocks)


def write(root, name=NAME, mistake=None):
    """The folder `root`/`name`: the page's files under that name, those of a folder with a mistake in their place."""
    folder = Path(root) / name
    folder.mkdir()
    for file, text in files().items():
        (folder / file).write_text(text.replace(f'"{NAME}"', f'"{name}"'))
    if mistake is not None:
        for path in mistake.glob("*.py"):
            shutil.copy(path, folder)
    return folder
