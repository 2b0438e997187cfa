"""The one point that averaged NadamW uses where nothing is tuned."""

from types import SimpleNamespace

from reference_algorithms.nadamw.self_tuning import SELF_TUNING_POINT as NADAMW

# NadamW's point, so that the two differ in the average alone. Our choice: an average over about a fiftieth of the run.
SELF_TUNING_POINT = SimpleNamespace(**vars(NADAMW), average_factor=0.02)


def weight_of_newest(global_step: int, average_factor: float, step_hint: int) -> float:
    """Weight of the newest parameters: first a plain mean of all, later an average over `average_factor` of the run.

    >>> [round(weight_of_newest(step, 0.1, 100), 2) for step in (0, 1, 3, 9, 50)]
    [1.0, 0.5, 0.25, 0.1, 0.1]
    """
    return max(1 / (global_step + 1), 1 / max(average_factor * step_hint, 1.0))
