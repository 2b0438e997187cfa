"""What a procedure finds, and how it is written down."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algoperf import records
from algoperf.spec import UsageError
from scoring.text import paragraph, terminal_width
from target_setting import plots

Content = dict[str, Any] | list[dict[str, Any]]
"""Of a JSON file, as plain types."""


@dataclass(frozen=True)
class Outcome:
    """What a procedure found."""

    table: str
    content: Content
    """Of `<procedure>.json`."""
    panels: Sequence[plots.Panel]
    title: str
    files: Mapping[str, Content] = dataclasses.field(default_factory=dict)
    """Name -> content of further JSON files."""
    notes: tuple[str, ...] = ()
    axes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Of the plot's x axes."""

    def text(self) -> str:
        """The report for the terminal."""
        width = terminal_width()
        return "\n\n".join([self.table, *(paragraph(note, width) for note in self.notes)])


def write(outcome: Outcome, procedure: str, folder: Path) -> Outcome:
    """Writes JSON files and the plot; `outcome` with a note on what was written or left out."""
    files = {f"{procedure}.json": outcome.content, **outcome.files}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            records.write_json(folder / name, content)
        if plots.is_available():
            plots.write(folder / f"{procedure}.html", outcome.title, outcome.panels, **outcome.axes)
    except OSError as error:
        raise UsageError(
            f"Cannot write to {str(folder)!r}: {error.strerror}; give another --output_dir."
        ) from error
    note = f"Written to {folder}: {', '.join(files)}"
    if plots.is_available():
        note += f", {procedure}.html."
    else:
        note += f". The plot needs plotly: {plots.INSTALL}, and run again."
    return dataclasses.replace(outcome, notes=(*outcome.notes, note))
