"""Digests of source files: what counts as a change, and what does not."""

import io
import tokenize

import pytest
from harness import ROOT

from algoperf import source_digest
from algoperf.source_digest import lean, of_file, of_files

CODE = '''"""About the module."""

import math  # Why it is needed.


def area(radius):
    """About the function."""
    # About the line.
    return math.pi * radius**2  # Squared.


class Circle:
    """About the class,

    at length.
    """

    text = """Not about it: # a value"""
'''
LINES = {
    "a comment": ("# About the line.", "# In other words."),
    "a comment that goes": ("    # About the line.\n", ""),
    "a comment beside code": ("  # Squared.", ""),
    "blank lines": ("\n\n\nclass", "\n\nclass"),
    "the docstring of a module": ("About the module.", "In other\n\nwords # here."),
    "the docstring of a function": ('    """About the function."""\n', ""),
    "the docstring of a class": ("at length.", "and so on."),
}


@pytest.mark.parametrize("what", LINES)
def test_what_changes_nothing_does_not_count(what):
    old, new = LINES[what]
    assert old in CODE
    assert lean(CODE.replace(old, new).encode()) == lean(CODE.encode())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("radius**2", "radius**3"),
        ("# a value", "# another value"),
        ("    return", "        return"),
        ("import math", "import math, cmath"),
    ],
)
def test_what_changes_the_code_counts(old, new):
    assert old in CODE
    assert lean(CODE.replace(old, new).encode()) != lean(CODE.encode())


@pytest.mark.parametrize(
    "pair",
    [
        ('f(\n    """a"""\n)\n', 'f(\n    """b"""\n)\n'),
        ('x = {\n    "k":\n    """a"""\n}\n', 'x = {\n    "k":\n    """b"""\n}\n'),
        ("x = '#' # a\n", "x = '' # a\n"),
        ('x = "\\"#" + y\n', 'x = "\\"#" + z\n'),
        ("x = '''\n\n# a\n'''\n", "x = '''\n# a\n'''\n"),
        ("def f():\n    return 1\n", "def f():\n    return 1, '''a'''\n"),
    ],
    ids=range(6),
)
def test_texts_are_code_wherever_they_stand_unless_they_are_docstrings(pair):
    one, other = (lean(text.encode()) for text in pair)
    assert one != other


def test_texts_that_nest_as_since_python_3_12_are_taken_as_they_are():
    one, other = b'x = f"{d["#"]}" + a\n', b'x = f"{d["#"]}" + b\n'
    assert lean(one) == one
    assert lean(one) != lean(other)


def code_of(content):
    """The tokens of a file without comments and texts that stand for themselves."""
    skipped = (tokenize.COMMENT, tokenize.NL, tokenize.ENCODING)
    line = (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    found = [one for one in tokenize.tokenize(io.BytesIO(content).readline) if one.type not in skipped]
    return [
        one.string
        for before, one, after in zip([None, *found], found, [*found[1:], None])
        if one.type not in line
        and not (
            one.type == tokenize.STRING
            and (before is None or before.type in line)
            and (after is None or after.type in line)
        )
    ]


def test_nothing_of_the_projects_code_is_taken_for_a_comment():
    paths = [*(ROOT / "algoperf").rglob("*.py"), *(ROOT / "workloads" / "wmt").rglob("*.py")]
    paths += (ROOT / "reference_algorithms").rglob("*.py")
    assert len(paths) > 100
    for path in paths:
        content = path.read_bytes()
        assert b'"""' not in content or len(lean(content)) < len(content), path
        assert code_of(lean(content)) == code_of(content), path


def test_a_digest_is_of_the_content_under_its_path_and_not_of_the_place(tmp_path):
    for place in ("a", "b"):
        (tmp_path / place / "inner").mkdir(parents=True)
        (tmp_path / place / "inner" / "one.py").write_text("x = 1\n")
    digests = [of_files({"inner/one.py": tmp_path / place / "inner" / "one.py"}) for place in ("a", "b")]
    assert digests[0] == digests[1]
    moved = of_files({"one.py": tmp_path / "a" / "inner" / "one.py"})
    assert source_digest.combined(moved) != source_digest.combined(digests[0])


def test_a_file_that_was_written_anew_has_another_digest(tmp_path):
    path = tmp_path / "one.py"
    path.write_text("x = 1\n")
    before = of_file(path)
    path.write_text("x = 10\n")
    assert of_file(path) != before
