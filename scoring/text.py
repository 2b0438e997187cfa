"""Plain-text tables for the terminal."""

import shutil
import textwrap
from collections.abc import Sequence

GAP = "  "


def terminal_width() -> int:
    """Columns of the terminal; wide where the output goes to a file."""
    return shutil.get_terminal_size(fallback=(160, 50)).columns


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, num_left: int = 1, indent: str = "  "
) -> str:
    """Rows under a header; the first `num_left` columns are set left, the others right.

    >>> print(table(["name", "score"], [["a", "0.5"], ["bcdef", "10.25"]], indent=""))
    name   score
    a        0.5
    bcdef  10.25
    """
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        (
            indent
            + GAP.join(
                pad(cell, width, column < num_left) for column, (cell, width) in enumerate(zip(line, widths))
            )
        ).rstrip()
        for line in lines
    )


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
