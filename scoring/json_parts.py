"""The same as `report_parts`, in full, for scores.json."""

import math
from collections.abc import Collection
from typing import Any

import numpy as np

from scoring import absolute, intervals
from scoring.leaderboard import Leaderboard
from scoring.sensitivity import Variation


def uncertainty_content(board: Leaderboard) -> dict[str, Any] | None:
    """How intervals were made, tie groups, and every pair; None without intervals."""
    spread = board.uncertainty
    if spread is None:
        return None
    groups, order = intervals.tie_groups(spread.clear, board.order()), board.order()
    pairs = []
    for place, high in enumerate(order):
        for low in order[place + 1 :]:
            needed = float(spread.studies_to_tell[high, low])
            is_clear = bool(spread.clear[high, low] or spread.clear[low, high])
            pairs.append(
                {
                    "above": board.submissions[high],
                    "below": board.submissions[low],
                    "probability": float(spread.above[high, low]),
                    "is_clear": is_clear,
                    "studies_to_tell": None if is_clear else intervals.magnitude(needed),
                }
            )
    return {
        "confidence": intervals.CONFIDENCE,
        "num_studies": spread.num_studies,
        "spread_of_times": "default" if spread.is_default_spread else "pooled over the field",
        "tie_groups": {board.submissions[row]: int(groups[row]) for row in order},
        "pairs": pairs,
    }


def absolute_content(board: Leaderboard) -> dict[str, Any] | None:
    """Restricted speedups and whole data profiles; None on steps."""
    figures = board.absolute
    if figures is None:
        return None
    reference, content = figures.reference, {}
    for row, name in enumerate(board.submissions):
        shares = sorted(float(share) for share in figures.shares[row] if math.isfinite(share))
        content[name] = {
            "data_profile": {
                "budget_fractions_at_target": shares,
                **{
                    f"solved_within_{fraction:g}": float(figures.solved(fraction)[row])
                    for fraction in absolute.FRACTIONS
                },
            },
        }
        if figures.restricted is not None:
            speedup: dict[str, Any] = {"value": float(figures.restricted[row]), "low": None, "high": None}
            if board.uncertainty and board.uncertainty.restricted and board.has_interval(row):
                own = board.uncertainty.restricted
                speedup |= {"low": float(own.low[row]), "high": float(own.high[row])}
            content[name]["restricted_speedup"] = speedup
    return {
        "reference": reference
        and {
            "leaderboard": reference.leaderboard,
            "submission": reference.name,
            "hardware": reference.hardware,
            "restricted_mean_time_sec": {
                workload: float(value) if np.isfinite(value) else None
                for workload, value in zip(board.workloads, reference.restricted)
            },
        },
        "submissions": content,
    }


def sensitivity_content(variations: Collection[Variation]) -> list[dict[str, Any]]:
    """Scores and ranks under every change."""
    return [
        {
            "kind": one.kind,
            "what": one.what,
            "first": list(one.first),
            "note": one.note or None,
            "submissions": {
                name: {"score": float(score), "rank": int(rank), "rank_before": int(before)}
                for name, score, rank, before in zip(one.submissions, one.scores, one.ranks, one.ranks_before)
            },
        }
        for one in variations
    ]
