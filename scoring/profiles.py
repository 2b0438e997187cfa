"""Ratios -> performance profiles and benchmark scores.

Profile: rho(tau) = share of workloads with ratio <= tau, a right-continuous step function. Score: its mean
over [1, r_max]. Source: Dahl et al. 2023, https://arxiv.org/abs/2306.07179, section 4.
"""

import numpy as np

NUM_GRID_POINTS = 100


def profile(ratios: np.ndarray, r_max: float) -> tuple[np.ndarray, np.ndarray]:
    """The steps of one submission's profile on [1, r_max].

    Args:
      ratios: (workloads,), at least 1.
      r_max: right end.

    Returns:
      (points,) tau, from 1 to r_max, and (points,) rho from that tau on to the next one.

    >>> profile(np.array([1.0, 2.0, np.inf, np.inf]), 4.0)
    (array([1., 2., 4.]), array([0.25, 0.5 , 0.5 ]))
    """
    taus = np.unique(np.concatenate([[1.0], ratios[ratios <= r_max], [r_max]]))
    return taus, np.mean(ratios[None, :] <= taus[:, None], axis=1)


def exact_score(ratios: np.ndarray, r_max: float) -> np.ndarray:
    """Benchmark score: the integral of the profile over [1, r_max], divided by r_max - 1, in closed form.

    Each workload contributes clip((r_max - r) / (r_max - 1), 0, 1), independently of the others.

    Args:
      ratios: (..., workloads), at least 1.
      r_max: right end of the profile, above 1.

    Returns:
      (...,) scores in [0, 1]; 1 exactly for the fastest on every workload.

    >>> float(exact_score(np.array([1.0, 2.5, 4.0, np.inf]), r_max=4.0))
    0.375
    """
    return np.mean(np.clip((r_max - ratios) / (r_max - 1), 0, 1), axis=-1)


def grid_score(ratios: np.ndarray, r_max: float) -> np.ndarray:
    """The official value: the trapezoidal rule on 100 equally spaced points, divided by r_max - 1.

    Also additive over workloads: the first point tau_m >= r decides, and all points from there on count 1,
    the last one half. A ratio of exactly 1 gains the other half of the first point; one of exactly r_max gets
    1/198 and not 0. `r <= tau` is decided in floating point, as the official code does.

    Args:
      ratios: (..., workloads), at least 1.
      r_max: right end of the profile.

    Returns:
      (...,) scores in [0, 1].

    >>> float(grid_score(np.array([1.0, 2.5, 4.0, np.inf]), r_max=4.0).round(6))
    0.376263
    """
    taus = np.linspace(1.0, r_max, NUM_GRID_POINTS)
    last = NUM_GRID_POINTS - 1
    # By the rank of the first grid point at or above a ratio; one more entry, 0, for ratios above all of them.
    per_workload = np.append((last + 0.5 - np.arange(NUM_GRID_POINTS)) / last, 0.0)
    per_workload[0] = 1.0
    return np.mean(per_workload[np.searchsorted(taus, ratios)], axis=-1)


def score(ratios: np.ndarray, r_max: float, *, exact: bool) -> np.ndarray:
    """`exact_score` or `grid_score`."""
    return exact_score(ratios, r_max) if exact else grid_score(ratios, r_max)
