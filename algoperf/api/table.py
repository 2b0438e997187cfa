"""Rows that show themselves as a table: in a terminal, in a notebook, and to pandas."""

import html
import math
from typing import Any

from algoperf.spec import UsageError
from scoring import text

MAX_SHOWN = 60
"""Rows that are shown; all are there."""


class Table(list[dict[str, Any]]):
    """A list of rows, each a dictionary with the same keys in the same order.

    >>> Table([{"name": "a", "score": 0.5}, {"name": "b", "score": None}])
    name  score
    a       0.5
    b         -
    """

    def columns(self) -> list[str]:
        """The keys of all rows, in the order of their first appearance."""
        return list(dict.fromkeys(key for row in self for key in row))

    def column(self, name: str) -> list[Any]:
        """The values of one column, None where a row has none."""
        return [row.get(name) for row in self]

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` of the rows.

        Raises:
          UsageError: where pandas is not installed.
        """
        try:
            import pandas
        except ModuleNotFoundError:
            raise UsageError(
                "to_pandas() needs pandas: `pip install pandas`. Without it, this is a list of dictionaries."
            ) from None
        return pandas.DataFrame(list(self), columns=self.columns())

    def __repr__(self) -> str:
        if not self:
            return "(no rows)"
        header = self.columns()
        rows = [[shown(row.get(name)) for name in header] for row in self[:MAX_SHOWN]]
        are_text = [all(not _is_number(row.get(name)) for row in self) for name in header]
        # Text columns are set left as far as they come first; further ones line up on the right, with the numbers.
        num_left = next((index for index, is_text in enumerate(are_text) if not is_text), len(header))
        # Tables fold at their left columns, of which there must be one.
        whole = text.table(header, rows, num_left=max(1, num_left), indent="", width=text.terminal_width())
        return whole + self._more()

    def _repr_html_(self) -> str:
        return to_html(self) + (f"<p>{html.escape(self._more().strip())}</p>" if self._more() else "")

    def _more(self) -> str:
        left = len(self) - MAX_SHOWN
        return f"\n... {left} more rows" if left > 0 else ""


def to_html(table: Table) -> str:
    """The rows as an HTML table; everything in it is escaped, as names and errors come from users."""
    header = table.columns()
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    body = "".join(
        "<tr>" + "".join(_cell(row.get(name)) for name in header) + "</tr>" for row in table[:MAX_SHOWN]
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    style = ' style="text-align:right"' if _is_number(value) else ' style="text-align:left"'
    return f"<td{style}>{html.escape(shown(value))}</td>"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def shown(value: object) -> str:
    """A value as tables show it.

    >>> [shown(one) for one in (None, 0.123456, 12345.678, 1e-5, 2000, float("inf"), "words")]
    ['-', '0.1235', '12345.7', '1e-05', '2000', 'inf', 'words']
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, float):
        return f"{value:.1f}" if 1000 <= abs(value) < 1e7 else f"{value:.4g}"
    return str(value)
