"""Plain-text tables for the terminal."""

import shutil
import textwrap
from collections.abc import Sequence

GAP = "  "
LEAST_TEXT = 44
"""Columns that sentences in a table should have; with fewer they stand under their row."""


def terminal_width() -> int:
    """Columns of the terminal; 100 where the output goes to a file."""
    return shutil.get_terminal_size(fallback=(100, 50)).columns


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    num_left: int = 1,
    indent: str = "  ",
    width: int | None = None,
) -> str:
    """Rows under a header; the first `num_left` columns are set left, the others right.

    A table that is wider than `width` is folded: words of the left columns go to further lines, or, where all columns
    are text and little is left for the last one, that goes under its row; right columns that do not fit stand in a
    second block under the same left ones.

    >>> print(table(["name", "score"], [["a", "0.5"], ["bcdef", "10.25"]], indent=""))
    name   score
    a        0.5
    bcdef  10.25
    """
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    if width is None or len(indent) + total(widths) <= width:
        return set_lines(lines, widths, num_left, indent)
    left = folded_widths(lines, widths[:num_left], width - len(indent))
    # A long word, as a path, may keep a column from becoming as narrow as it should.
    is_narrow = left[-1] < min(LEAST_TEXT, widths[-1]) or len(indent) + total(left) > width
    if num_left == len(header) > 2 and is_narrow:
        return with_last_below(lines, widths, indent, width)
    blocks: list[list[int]] = [[]]
    for column in range(num_left, len(header)):
        taken = [*left, *(widths[index] for index in blocks[-1]), widths[column]]
        if blocks[-1] and len(indent) + total(taken) > width:
            blocks.append([])
        blocks[-1].append(column)
    return "\n\n".join(
        set_lines(
            [[line[column] for column in (*range(num_left), *block)] for line in lines],
            [*left, *(widths[column] for column in block)],
            num_left,
            indent,
        )
        for block in blocks
    )


def with_last_below(lines: Sequence[Sequence[str]], widths: Sequence[int], indent: str, width: int) -> str:
    """Columns of text without the last one, which follows each row, set in further."""
    left = folded_widths([line[:-1] for line in lines], widths[:-1], width - len(indent))
    texts = []
    for index, line in enumerate(lines):
        texts.append(set_lines([line[:-1]], left, len(left), indent))
        if line[-1] and index:  # The last column's name is left out: it would stand above other columns.
            texts.append(paragraph(line[-1], width, indent + 4 * " "))
    return "\n".join(texts)


def total(widths: Sequence[int]) -> int:
    """Of a line with columns so wide."""
    return sum(widths) + len(GAP) * (len(widths) - 1)


def folded_widths(lines: Sequence[Sequence[str]], widths: Sequence[int], width: int) -> list[int]:
    """Widths of left columns, the widest narrowed until all fit; none below its longest word."""
    columns = range(len(widths))
    least = [max(len(word) for line in lines for word in ["", *line[column].split()]) for column in columns]
    widths = list(widths)
    while total(widths) > width:
        wide = [column for column in columns if widths[column] > least[column]]
        if not wide:
            break
        widths[max(wide, key=widths.__getitem__)] -= 1
    return widths


def set_lines(lines: Sequence[Sequence[str]], widths: Sequence[int], num_left: int, indent: str) -> str:
    """Lines in columns; a cell that is wider than its column goes on below."""
    texts = []
    for line in lines:
        cells = [
            textwrap.wrap(cell, width, break_long_words=False, break_on_hyphens=False)
            if len(cell) > width
            else [cell]
            for cell, width in zip(line, widths)
        ]
        for level in range(max(map(len, cells))):
            parts = [cell[level] if level < len(cell) else "" for cell in cells]
            padded = (
                pad(part, width, column < num_left) for column, (part, width) in enumerate(zip(parts, widths))
            )
            texts.append((indent + GAP.join(padded)).rstrip())
    return "\n".join(texts)


def pad(cell: str, width: int, left: bool) -> str:
    """`cell` filled up with spaces."""
    return cell.ljust(width) if left else cell.rjust(width)


def matrix(corner: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]], width: int) -> str:
    """A wide table of named rows and columns, in as many blocks as `width` asks for.

    Column names are broken at underscores, so that numbers decide how wide a column is.
    """
    heads = [name.split("_") for name in columns]
    widths = [
        max([len(p) for p in head] + [len(cells[i]) for _, cells in rows]) for i, head in enumerate(heads)
    ]
    first = max([len(corner)] + [len(name) for name, _ in rows])
    blocks: list[list[int]] = [[]]
    used = first + 2
    for index, own in enumerate(widths):
        if blocks[-1] and used + own + len(GAP) > width:
            blocks.append([])
            used = first + 2
        blocks[-1].append(index)
        used += own + len(GAP)
    return "\n\n".join(block_text(corner, heads, rows, widths, first, block) for block in blocks)


def block_text(
    corner: str,
    heads: Sequence[Sequence[str]],
    rows: Sequence[tuple[str, Sequence[str]]],
    widths: Sequence[int],
    first: int,
    block: Sequence[int],
) -> str:
    """One block of `matrix`: the columns whose positions are in `block`."""
    height = max(len(heads[index]) for index in block)
    lines = []
    for level in range(height):
        cells = []
        for index in block:
            head = [""] * (height - len(heads[index])) + list(heads[index])
            cells.append(head[level].rjust(widths[index]))
        lines.append(GAP.join([(corner if level == height - 1 else "").ljust(first), *cells]))
    for name, row in rows:
        lines.append(GAP.join([name.ljust(first), *(row[index].rjust(widths[index]) for index in block)]))
    return "\n".join("  " + line.rstrip() for line in lines)


def paragraph(words: str, width: int, indent: str = "  ") -> str:
    """`words` wrapped, continuation lines set in further."""
    width = min(max(width, 60), 120)
    return textwrap.fill(
        words, width, initial_indent=indent, subsequent_indent=indent + "  ", break_long_words=False
    )
