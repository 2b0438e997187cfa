"""Beam search in PyTorch: a loop over positions that ends when no sentence of the batch can improve.

The same algorithm as `beam_search_jax`; its module docstring explains the cache: no entry is ever moved, and
`visible_BGPG` says which slots hold the past of each beam.

Shapes: B batch, G beams, C candidates (2 G), P position, V vocabulary
"""

from collections.abc import Callable

import torch
from torch import Tensor

# Finite, as in Flax's example: it is multiplied by booleans below, and 0 * -inf would be NaN.
NEGATIVE_INFINITY = -1e7
START_ID = 0
EOS_ID = 2

DecodeStep = Callable[[Tensor, int, Tensor], Tensor]


def length_penalty(length: int, alpha: float) -> float:
    """Divisor of a log-probability. Source: Wu et al. 2016, https://arxiv.org/abs/1609.08144, section 7.

    >>> round(length_penalty(10, 0.6), 4)
    1.7329
    """
    return ((5 + length) / 6) ** alpha


def _best(scores: Tensor, count: int) -> Tensor:
    """(B, count) indices of the highest scores, in ascending order of score."""
    return scores.topk(count, dim=1).indices.flip(1)


def _pick(x: Tensor, index_BG: Tensor) -> Tensor:
    """x[b, index_BG[b, g]] for each b and g."""
    rows = torch.arange(x.shape[0], device=x.device)
    return x[rows[:, None], index_BG]


def beam_search(
    decode_step: DecodeStep,
    *,
    batch_size: int,
    beam_size: int,
    max_len: int,
    alpha: float,
    device: torch.device | str = "cpu",
) -> Tensor:
    """(B, max_len) int32: the best sequence found for each row, without start token, padded with 0.

    Args:
      decode_step: (tokens_BG, position, visible_BGPG) -> logits_BGV. It keeps what later positions need in a
        cache of its own; visible_BGPG[b, g, p, s] says whether slot s of position p belongs to the past of beam g.
      max_len: tokens of a sequence, start token included; so at most max_len - 1 come back.
      alpha: exponent of the length penalty.
    """
    # Only one beam is alive at first; otherwise all beams would extend the same start token in the same way.
    live_log_probs_BG = torch.full((batch_size, beam_size), NEGATIVE_INFINITY, device=device)
    live_log_probs_BG[:, 0] = 0.0
    live_tokens_BGP = torch.full((batch_size, beam_size, max_len), START_ID, device=device)
    finished_scores_BG = torch.full((batch_size, beam_size), NEGATIVE_INFINITY, device=device)
    finished_tokens_BGP = torch.zeros_like(live_tokens_BGP)
    is_finished_BG = torch.zeros((batch_size, beam_size), dtype=torch.bool, device=device)
    visible_BGPG = torch.zeros((batch_size, beam_size, max_len, beam_size), dtype=torch.bool, device=device)

    for position in range(max_len - 1):
        # Log-probabilities are negative and only fall, so the largest penalty bounds the score that a live
        # beam can reach.
        best_live_B = live_log_probs_BG[:, -1] / length_penalty(max_len, alpha)
        worst_finished_B = finished_scores_BG.where(is_finished_BG, NEGATIVE_INFINITY).amin(dim=1)
        # `bool` waits for the device at each position: the price of stopping early.
        if bool((worst_finished_B > best_live_B).all()):
            break
        visible_BGPG[:, :, position] = torch.eye(beam_size, dtype=torch.bool, device=device)
        logits_BGV = decode_step(live_tokens_BGP[:, :, position], position, visible_BGPG)

        vocab_size = logits_BGV.shape[-1]
        log_probs_BGV = logits_BGV.log_softmax(dim=-1) + live_log_probs_BG[:, :, None]
        # 2 G candidates: at most one token per beam is EOS, so at least G candidates remain alive.
        log_probs_BC, flat_BC = log_probs_BGV.flatten(1).topk(2 * beam_size, dim=1)
        parent_BC, token_BC = flat_BC // vocab_size, flat_BC % vocab_size
        tokens_BCP = _pick(live_tokens_BGP, parent_BC)
        tokens_BCP[:, :, position + 1] = token_BC
        is_eos_BC = token_BC == EOS_ID

        live_BC = log_probs_BC + is_eos_BC * NEGATIVE_INFINITY
        live_BG = _best(live_BC, beam_size)
        live_log_probs_BG = live_BC.gather(1, live_BG)
        live_tokens_BGP = _pick(tokens_BCP, live_BG)
        visible_BGPG = _pick(visible_BGPG, parent_BC.gather(1, live_BG))

        scores_BC = log_probs_BC / length_penalty(position + 1, alpha) + ~is_eos_BC * NEGATIVE_INFINITY
        scores = torch.cat([finished_scores_BG, scores_BC], dim=1)
        finished_BG = _best(scores, beam_size)
        finished_scores_BG = scores.gather(1, finished_BG)
        finished_tokens_BGP = _pick(torch.cat([finished_tokens_BGP, tokens_BCP], dim=1), finished_BG)
        is_finished_BG = torch.cat([is_finished_BG, is_eos_BC], dim=1).gather(1, finished_BG)

    has_finished_B1 = is_finished_BG.any(dim=1, keepdim=True)
    best_BP = finished_tokens_BGP[:, -1].where(has_finished_B1, live_tokens_BGP[:, -1])
    return torch.nn.functional.pad(best_BP[:, 1:], (0, 1)).int()
