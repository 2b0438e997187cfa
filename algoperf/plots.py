r"""Learning curves of stored runs: the target metric, the loss and the learning rate over seconds and over updates.

    python -m algoperf.plots experiments --output=curves.svg
    python -m algoperf.plots experiments/mine experiments/adamw --workloads=digits --output=curves.png

A folder is a trial's, or anything above some. Curves of one submission have one colour. Needs matplotlib (an extra:
`pip install 'algoperf[plot]'`), which is imported when something is drawn.
"""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from absl import flags

from algoperf import commands, files, records
from algoperf.run import summary as summaries
from algoperf.spec import UsageError, no_such

FLAGS = flags.FLAGS
INSTALL = "Drawing needs matplotlib: pip install 'algoperf[plot]'."
FORMATS = (".png", ".svg", ".pdf")
LEARNING_RATE = ("learning_rate", "lr")
"""Columns in which submissions log it."""
LOSSES = ("validation/loss", "train/loss", "loss", "train_loss")
"""Columns that are drawn as the loss: the first that a run has."""
X_AXES = {"seconds on the submission clock": records.SCORE, "updates": records.GLOBAL_STEP}
MAX_LEGEND = 12
MAX_WORKLOADS = 6
"""Columns of pictures beside each other."""


@dataclass(frozen=True)
class Curves:
    """One stored run, as it is drawn."""

    label: str
    """Curves with the same one have the same colour."""
    workload: str
    rows: Mapping[str, Sequence[float]]
    """Column -> values, of the evaluations."""
    logged: Mapping[str, Sequence[float]]
    """The same of what the submission logged."""
    metric: str | None
    """Name of the target metric."""
    target: float | None
    """On the validation split."""


def read(folder: Path, label: str | None = None) -> Curves:
    """The curves of one trial's folder.

    Args:
      folder: with `eval_measurements.csv`.
      label: what it is called; by default the name of its submission.

    Raises:
      UsageError: if there is no evaluation.
    """
    try:
        rows = records.read_csv(folder / records.EVAL_MEASUREMENTS)
    except FileNotFoundError:
        rows = {}
    if not rows.get(records.GLOBAL_STEP):
        raise UsageError(f"{folder} holds no evaluation: give the folder of a trial that has come to one.")
    try:
        logged = records.read_csv(folder / records.MEASUREMENTS)
    except FileNotFoundError:
        logged = {}
    ended = summaries.read(folder)
    own = folder.absolute().parts
    return Curves(
        label=label or (own[-4] if len(own) > 3 else folder.name),
        workload=(ended and ended.workload) or own[-2].rpartition("_")[0],
        rows=rows,
        logged=logged,
        metric=(ended.target_metric if ended else None) or _guessed_metric(rows),
        target=ended.validation_target if ended else None,
    )


def _guessed_metric(rows: Mapping[str, object]) -> str | None:
    """Of a run without a summary: the first metric of the validation split that is no loss."""
    names = [name.partition("/")[2] for name in rows if name.startswith("validation/")]
    return next((name for name in names if name not in ("loss", "num_examples")), names[0] if names else None)


def find(roots: Sequence[Path], workloads: Sequence[str] = ()) -> list[Curves]:
    """The curves of all trials in folders.

    Args:
      roots: trials' folders or folders above.
      workloads: only these; all by default.

    Raises:
      UsageError: if there are none.
    """
    folders: list[Path] = []
    for root in roots:
        if not root.exists():
            raise UsageError(f"There is no folder {root}: give one with results.")
        folders += sorted(path.parent for path in root.rglob(records.EVAL_MEASUREMENTS))
    found = []
    for folder in dict.fromkeys(folders):
        try:
            found.append(read(folder))
        except UsageError:  # It has not come to an evaluation; others have.
            continue
    if not found:
        raise UsageError(f"No evaluation lies in {', '.join(map(str, roots))}: give a folder with results.")
    there = {one.workload for one in found}
    for name in workloads:
        if name not in there:
            raise no_such("workload with results", name, there)
    return [one for one in found if not workloads or one.workload in workloads]


# ---- drawing ---------------------------------------------------------------------------------------------------------


def draw(curves: Sequence[Curves], output: Path | None = None) -> Any:
    """A matplotlib figure: below each workload's metric its loss and learning rate, over seconds and over updates.

    Args:
      curves: of one run or many.
      output: file to write it to: .png, .svg or .pdf.

    Raises:
      UsageError: if matplotlib is missing, the file's kind is unknown, or there are too many workloads for one picture.
    """
    if output is not None and output.suffix not in FORMATS:
        raise UsageError(f"{output} must end in one of {', '.join(FORMATS)}.")
    workloads = list(dict.fromkeys(one.workload for one in curves))
    if len(workloads) > MAX_WORKLOADS:
        raise UsageError(
            f"{len(workloads)} workloads do not fit into one picture; choose up to {MAX_WORKLOADS} of "
            f"{', '.join(workloads)}."
        )
    labels = list(dict.fromkeys(one.label for one in curves))
    panels = [(title, series) for title, series in PANELS.items() if any(series(one)[1] for one in curves)]
    width, height = 2 * len(workloads), len(panels)
    figure = _figure(figsize=(4.2 * width, 2.6 * height + 0.4), layout="constrained")
    axes = figure.subplots(height, width, squeeze=False, sharex="col")
    for column, workload in enumerate(workloads):
        own = [one for one in curves if one.workload == workload]
        for row, (title, series) in enumerate(panels):
            for side, (x_title, x_column) in enumerate(X_AXES.items()):
                axis = axes[row][2 * column + side]
                _panel(axis, own, labels, series, x_column)
                axis.set_ylabel("" if side else (own[0].metric or title) if row == 0 else title)
                if row == 0:
                    axis.set_title(workload, fontsize=10)
                if row == height - 1:
                    axis.set_xlabel(x_title)
    handles = [_line(label, labels) for label in labels[:MAX_LEGEND]]
    more = len(labels) - MAX_LEGEND
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(6, len(handles)),
        frameon=False,
        title=f"and {more} more" if more > 0 else None,
    )
    if output is not None:
        files.make_folder(output.absolute().parent, "--output")
        with files.storage_errors(output):
            figure.savefig(output, dpi=150)
    return figure


def _figure(**options: Any) -> Any:
    """A figure that shows itself in notebooks; not of pyplot, which keeps every figure and chooses a backend."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise UsageError(INSTALL) from None

    class Shown(Figure):
        """With the picture that notebooks ask for."""

        def _repr_png_(self) -> bytes:
            content = io.BytesIO()
            self.savefig(content, format="png", dpi=100)
            return content.getvalue()

    return Shown(**options)


Series = tuple[str, Sequence[float]]


def _of_metric(one: Curves) -> Series:
    return "rows", one.rows.get(f"validation/{one.metric}", ())


def _of_loss(one: Curves) -> Series:
    if one.metric == "loss":  # It is drawn already.
        return "rows", ()
    for name in LOSSES:
        for place, columns in (("rows", one.rows), ("logged", one.logged)):
            if _has_numbers(columns.get(name)):
                return place, columns[name]
    return "rows", ()


def _of_rate(one: Curves) -> Series:
    for name in LEARNING_RATE:
        if _has_numbers(one.logged.get(name)):
            return "logged", one.logged[name]
    return "logged", ()


PANELS = {"metric": _of_metric, "loss": _of_loss, "learning rate": _of_rate}


def _has_numbers(values: Sequence[float] | None) -> bool:
    return any(math.isfinite(value) for value in values or ())


def _panel(axis: Any, curves: Sequence[Curves], labels: Sequence[str], series: Any, x_column: str) -> None:
    for one in curves:
        place, values = series(one)
        points = sorted(
            (x, y)
            for x, y in zip(_places(one, place, x_column), values)
            if math.isfinite(x) and math.isfinite(y)
        )
        color = _color(labels.index(one.label))
        axis.plot(
            [x for x, _ in points], [y for _, y in points], color=color, linewidth=1.3, marker=".", ms=3
        )
    target = curves[0].target
    if series is _of_metric and target is not None:
        axis.axhline(target, color="0.5", linewidth=0.8, linestyle="--")
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)


def _places(one: Curves, place: str, x_column: str) -> Sequence[float]:
    """Where the points of a series lie on an axis: what is logged between evaluations has updates and no clock."""
    if place == "rows":
        return one.rows.get(x_column) or one.rows.get(records.SUBMISSION_TIME, ())
    steps = one.logged.get(records.GLOBAL_STEP, ())
    if x_column == records.GLOBAL_STEP:
        return steps
    clock = one.rows.get(records.SCORE) or one.rows.get(records.SUBMISSION_TIME, ())
    return _interpolated(steps, one.rows[records.GLOBAL_STEP], clock)


def _interpolated(at: Sequence[float], steps: Sequence[float], seconds: Sequence[float]) -> list[float]:
    """Seconds at updates between evaluations, evenly spread; NaN outside."""
    import numpy as np

    return list(np.interp(at, [0, *steps], [0, *seconds], right=math.nan))


def _line(label: str, labels: Sequence[str]) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=_color(labels.index(label)), label=label)


def _color(index: int) -> str:
    return f"C{index % 10}"


# ---- the command -----------------------------------------------------------------------------------------------------


def main(argv: Sequence[str]) -> None:
    if len(argv) < 2:
        raise UsageError(
            "Say what to draw: folders with results, as in python -m algoperf.plots experiments."
        )
    output = files.expanded(FLAGS.output)
    found = find([files.expanded(one) for one in argv[1:]], FLAGS.workloads)
    draw(found, output)
    print(f"Written: {output}, {len(found)} runs.")


if __name__ == "__main__":
    flags.DEFINE_list("workloads", [], "Only these workloads; by default all, up to 6.")
    flags.DEFINE_string("output", "curves.png", "File to write: .png, .svg or .pdf.")
    commands.run(main, max_arguments=10_000, arguments="folders with results")
