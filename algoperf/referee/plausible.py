"""What the numbers of a trial themselves say about it."""

import math

from algoperf.referee.book import Book
from algoperf.referee.findings import FOR_REVIEW

FIRST_SHARE = 0.5
"""Of the way from untrained parameters to the target that nobody has gone at the first evaluation, after one step."""


def check_first(book: Book, metrics: dict[str, float]) -> None:
    """Adds a finding if the first evaluation, after the first step, is too good to be that.

    Args:
      book: of the trial, with the metrics of the parameters that nobody has trained.
      metrics: of an evaluation, which is the newest in the book.
    """
    spec, state = book.config.workload, book.state
    name = f"validation/{spec.target_metric_name}"
    before, now = book.initial_metrics.get(name, math.nan), metrics.get(name, math.nan)
    if len(state.eval_results) > 1 or state.global_step > 1 or not math.isfinite(before):
        return
    way = spec.validation_target_value - before
    share = (now - before) / way if way else math.nan
    if share > FIRST_SHARE:
        text = (
            f"{name} went from {before:.4g} to {now:.4g} in one step, {share:.0%} of the way to the target: was it "
            "trained before, or is the step a training of its own?"
        )
        book.findings.add("R3.18", FOR_REVIEW, state.global_step, text)
