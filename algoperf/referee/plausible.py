"""What the numbers of a trial themselves say about it."""

import math

from algoperf.referee.book import Book
from algoperf.referee.findings import FOR_REVIEW
from algoperf.run.jump import is_jump, share_of_way

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
    # Which step it is says the trainee: the first evaluation of a trial is that after the first one (R6.7).
    if len(state.eval_results) > 1 or book.preemption_count or not math.isfinite(before):
        return
    share = share_of_way(before, now, spec.validation_target_value)
    if share > FIRST_SHARE:
        text = (
            f"{name} went from {before:.4g} to {now:.4g} at the first evaluation, {share:.0%} of the way to the "
            "target: was it trained before, or is the first step a training of its own?"
        )
        book.findings.add("R3.18", FOR_REVIEW, state.global_step, text)


def check_jump(book: Book, metrics: dict[str, float]) -> None:
    """Adds a finding if the newest evaluation is at the target, and the one before, a few steps ago, was noise.

    Args:
      book: of the trial, with the metrics of the parameters that nobody has trained.
      metrics: of an evaluation, which is the newest in the book.
    """
    spec, results = book.config.workload, book.state.eval_results
    name = f"validation/{spec.target_metric_name}"
    untrained = book.initial_metrics.get(name, math.nan)
    if len(results) < 2:
        return
    (earlier_step, earlier), now = results[-2], metrics.get(name, math.nan)
    num_steps = book.state.global_step - earlier_step
    before = share_of_way(untrained, earlier.get(name, math.nan), spec.validation_target_value)
    has_reached = share_of_way(untrained, now, spec.validation_target_value) >= 1
    if has_reached and is_jump(before, num_steps, spec.step_hint):
        text = (
            f"{name} went from {earlier[name]:.4g} to {now:.4g}, past its target, in {num_steps} steps, and was "
            f"{untrained:.4g} without training: where was it trained?"
        )
        book.findings.add("R3.18", FOR_REVIEW, book.state.global_step, text)
