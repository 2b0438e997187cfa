"""Tables made by hand."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from target_setting.sweep_tables import Metric, Table


@pytest.fixture
def make_rows() -> Callable[..., Table]:
    """make_rows(a=[0.1, 0.2], b=[...]): points with learning rates 1, 2, … on workloads a, b; loss by default."""

    def make(points: Sequence[dict] = (), higher_is_better: bool = False, **rows: Sequence[float]) -> Table:
        number = len(next(iter(rows.values())))
        return Table(
            algorithm="adam",
            workloads=tuple(rows),
            metrics=(Metric("loss", higher_is_better),) * len(rows),
            trials=tuple(range(1, number + 1)),
            points=tuple(points) or tuple({"learning_rate": float(index + 1)} for index in range(number)),
            values=np.array(list(rows.values()), float),
        )

    return make
