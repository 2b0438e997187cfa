"""Beam search in JAX: one `lax.while_loop` over positions, with arrays of fixed shape.

The rules (ordering, scores, when to stop) are AlgoPerf's, which come from Flax's WMT example. What
differs is the cache: no entry is ever moved. The keys and values of a beam stay in the slot in which they were
computed, and `visible_BGPG` says for each beam which slot of each earlier position holds its past. The model
attends over all slots under this mask. Copying the cache at each step would cost as much as the model itself.

Shapes: B batch, G beams, C candidates (2 G), P position, V vocabulary
"""
# ruff: noqa: N815  (fields carry shapes)

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

# Finite, as in Flax's example: it is multiplied by booleans below, and 0 * -inf would be NaN.
NEGATIVE_INFINITY = -1e7
START_ID = 0
EOS_ID = 2

DecodeStep = Callable[[jax.Array, jax.Array, jax.Array, Any], tuple[jax.Array, Any]]


class State(NamedTuple):
    """State of the search after each position; beams are in ascending order, the best one last."""

    position: jax.Array
    """Index of the last token of the live sequences; all have the same length."""
    live_log_probs_BG: jax.Array
    live_tokens_BGP: jax.Array
    finished_scores_BG: jax.Array
    finished_tokens_BGP: jax.Array
    is_finished_BG: jax.Array
    visible_BGPG: jax.Array
    cache: Any


def length_penalty(length: Any, alpha: float) -> Any:
    """Divisor of a log-probability. Source: Wu et al. 2016, https://arxiv.org/abs/1609.08144, section 7.

    >>> round(length_penalty(10, 0.6), 4)
    1.7329
    """
    return ((5 + length) / 6) ** alpha


def _best(scores: jax.Array, count: int) -> jax.Array:
    """(B, count) indices of the highest scores, in ascending order of score."""
    return jnp.flip(jax.lax.top_k(scores, count)[1], axis=1)


def _pick(x: jax.Array, index_BG: jax.Array) -> jax.Array:
    """x[b, index_BG[b, g]] for each b and g."""
    return jax.vmap(lambda row, index: row[index])(x, index_BG)


def _start(cache: Any, batch_size: int, beam_size: int, max_len: int) -> State:
    """The state before the first token."""
    return State(
        position=jnp.int32(0),
        # Only one beam is alive at first; otherwise all beams would extend the same start token in the same way.
        live_log_probs_BG=jnp.full((batch_size, beam_size), NEGATIVE_INFINITY).at[:, 0].set(0.0),
        live_tokens_BGP=jnp.full((batch_size, beam_size, max_len), START_ID, jnp.int32),
        finished_scores_BG=jnp.full((batch_size, beam_size), NEGATIVE_INFINITY),
        finished_tokens_BGP=jnp.zeros((batch_size, beam_size, max_len), jnp.int32),
        is_finished_BG=jnp.zeros((batch_size, beam_size), bool),
        visible_BGPG=jnp.zeros((batch_size, beam_size, max_len, beam_size), bool),
        cache=cache,
    )


def beam_search(
    decode_step: DecodeStep,
    cache: Any,
    *,
    batch_size: int,
    beam_size: int,
    max_len: int,
    alpha: float,
) -> jax.Array:
    """(B, max_len) int32: the best sequence found for each row, without start token, padded with 0.

    Args:
      decode_step: (tokens_BG, position, visible_BGPG, cache) -> (logits_BGV, cache). It writes what later
        positions need at `position` of the cache; visible_BGPG[b, g, p, s] says whether slot s of position p
        belongs to the past of beam g.
      cache: empty cache, any tree of arrays.
      max_len: tokens of a sequence, start token included; so at most max_len - 1 come back.
      alpha: exponent of the length penalty.
    """
    state = _start(cache, batch_size, beam_size, max_len)

    def can_improve(state: State) -> jax.Array:
        # Log-probabilities are negative and only fall, so the largest penalty bounds the score that a live
        # beam can reach.
        best_live_B = state.live_log_probs_BG[:, -1] / length_penalty(max_len, alpha)
        worst_finished_B = jnp.where(state.is_finished_BG, state.finished_scores_BG, NEGATIVE_INFINITY).min(
            axis=1
        )
        return (state.position < max_len - 1) & ~jnp.all(worst_finished_B > best_live_B)

    def extend(state: State) -> State:
        position = state.position
        # At its own position a beam sees its own slot only. The rows of the past follow the parents at the
        # end of the step.
        visible_BGPG = state.visible_BGPG.at[:, :, position].set(jnp.eye(beam_size, dtype=bool))
        tokens_BG = state.live_tokens_BGP[:, :, position]
        logits_BGV, cache = decode_step(tokens_BG, position, visible_BGPG, state.cache)

        vocab_size = logits_BGV.shape[-1]
        log_probs_BGV = jax.nn.log_softmax(logits_BGV) + state.live_log_probs_BG[:, :, None]
        # 2 G candidates: at most one token per beam is EOS, so at least G candidates remain alive.
        log_probs_BC, flat_BC = jax.lax.top_k(log_probs_BGV.reshape(batch_size, -1), 2 * beam_size)
        parent_BC, token_BC = flat_BC // vocab_size, flat_BC % vocab_size
        tokens_BCP = _pick(state.live_tokens_BGP, parent_BC).at[:, :, position + 1].set(token_BC)
        is_eos_BC = token_BC == EOS_ID

        live_BC = log_probs_BC + is_eos_BC * NEGATIVE_INFINITY
        live_BG = _best(live_BC, beam_size)

        scores_BC = log_probs_BC / length_penalty(position + 1, alpha) + ~is_eos_BC * NEGATIVE_INFINITY
        scores = jnp.concatenate([state.finished_scores_BG, scores_BC], axis=1)
        # Old and new finished sequences compete for the G places.
        finished_BG = _best(scores, beam_size)
        finished_tokens = jnp.concatenate([state.finished_tokens_BGP, tokens_BCP], axis=1)
        is_finished = jnp.concatenate([state.is_finished_BG, is_eos_BC], axis=1)
        return State(
            position=position + 1,
            live_log_probs_BG=_pick(live_BC, live_BG),
            live_tokens_BGP=_pick(tokens_BCP, live_BG),
            finished_scores_BG=_pick(scores, finished_BG),
            finished_tokens_BGP=_pick(finished_tokens, finished_BG),
            is_finished_BG=_pick(is_finished, finished_BG),
            visible_BGPG=_pick(visible_BGPG, _pick(parent_BC, live_BG)),
            cache=cache,
        )

    state = jax.lax.while_loop(can_improve, extend, state)
    # A row without any finished sequence gives its best live one. AlgoPerf would give its first token only.
    has_finished_B1 = state.is_finished_BG.any(axis=1, keepdims=True)
    best_BP = jnp.where(has_finished_B1, state.finished_tokens_BGP[:, -1], state.live_tokens_BGP[:, -1])
    return jnp.pad(best_BP[:, 1:], ((0, 0), (0, 1)))
