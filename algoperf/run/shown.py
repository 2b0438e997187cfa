"""What a submission sees of evaluations: the training and validation splits, and never the test split (R3.5)."""

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

HIDDEN = "test/"


class ShownMetrics(dict[str, float]):
    """Metrics of one evaluation.

    >>> ShownMetrics({"validation/loss": 0.5})["validation/loss"]
    0.5
    """

    def __missing__(self, name: str) -> NoReturn:
        if isinstance(name, str) and name.startswith(HIDDEN):
            raise KeyError(
                f"{name}: metrics of the test split are not for submissions (R3.5); use those of 'train/…' and "
                "'validation/…'."
            )
        raise KeyError(name)

    def get(self, name: str, default: Any = None) -> Any:
        """As of any dictionary; asking for a metric of the test split is an error here, too."""
        return self[name] if name in self or str(name).startswith(HIDDEN) else default


def of(results: Iterable[tuple[int, Mapping[str, float]]]) -> list[tuple[int, ShownMetrics]]:
    """Copies of (step, metrics) without the test split."""
    return [(step, metrics_of(metrics)) for step, metrics in results]


def metrics_of(metrics: Mapping[str, float]) -> ShownMetrics:
    """A copy of the metrics of one evaluation without the test split."""
    return ShownMetrics({name: value for name, value in metrics.items() if not name.startswith(HIDDEN)})
