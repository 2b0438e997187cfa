"""Cells of the procedures' tables."""

import numpy as np


def metric_value(value: float | None) -> str:
    return "-" if value is None or not np.isfinite(value) else f"{value:.6g}"


def percent(share: float) -> str:
    return "-" if np.isnan(share) else ("inf" if np.isinf(share) else f"{share:.1%}")
