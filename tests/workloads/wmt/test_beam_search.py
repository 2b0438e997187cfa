"""Beam search: both implementations against a slow one in NumPy, written from the description of AlgoPerf's."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from transformer_pairs import VARIANTS, Pair, make_pair, plain_batch, to_torch, with_model

from workloads.wmt import beam_search_jax, beam_search_torch, model_jax, model_torch
from workloads.wmt.beam_search_torch import length_penalty

EOS = 2
MINUS_INFINITY = -1e7


def reference(logits_of_prefixes, num_rows, beam_size, max_len, alpha):
    """(best sequences (num_rows, max_len - 1), number of steps), with whole prefixes in place of a cache.

    Args:
      logits_of_prefixes: (row, list of prefixes, each a list that starts with 0) -> (prefixes, words).
    """
    rows = [
        {
            "live": [(0.0, [0])] + [(MINUS_INFINITY, [0])] * (beam_size - 1),
            "finished": [(MINUS_INFINITY, [0], False)] * beam_size,
        }
        for _ in range(num_rows)
    ]

    def cannot_improve(row):
        worst = min(score if is_finished else MINUS_INFINITY for score, _, is_finished in row["finished"])
        return worst > row["live"][-1][0] / length_penalty(max_len, alpha)

    step = 0
    while step < max_len - 1 and not all(cannot_improve(row) for row in rows):
        for index, row in enumerate(rows):
            logits = np.asarray(logits_of_prefixes(index, [prefix for _, prefix in row["live"]]), np.float64)
            log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
            candidates = [
                (score + log_prob, [*prefix, word])
                for (score, prefix), log_probs_V in zip(row["live"], log_probs)
                for word, log_prob in enumerate(log_probs_V)
            ]
            candidates = sorted(candidates, key=lambda item: -item[0])[: 2 * beam_size]
            live = [(score + MINUS_INFINITY * (prefix[-1] == EOS), prefix) for score, prefix in candidates]
            row["live"] = sorted(live, key=lambda item: -item[0])[:beam_size][::-1]
            new = [
                (
                    score / length_penalty(step + 1, alpha) + MINUS_INFINITY * (prefix[-1] != EOS),
                    prefix,
                    prefix[-1] == EOS,
                )
                for score, prefix in candidates
            ]
            row["finished"] = sorted(row["finished"] + new, key=lambda item: -item[0])[:beam_size][::-1]
        step += 1

    best = [
        row["finished"][-1][1]
        if any(is_finished for *_, is_finished in row["finished"])
        else row["live"][-1][1]
        for row in rows
    ]
    return [(sequence[1:] + [0] * max_len)[: max_len - 1] for sequence in best], step


# ---- a toy model: logits that depend on every token of the prefix ----------------------------------------------

NUM_ROWS, NUM_WORDS, BEAM_SIZE, MAX_LEN = 40, 9, 4, 10


def toy_logits(prefixes, frequencies, eos_bias, sin):
    """sin of a weighted sum of the tokens so far, per row and word.

    Args:
      prefixes: (..., MAX_LEN) tokens + 1, so that 0 is no token.
      frequencies: (..., MAX_LEN, NUM_WORDS).
      eos_bias: added to the logit of EOS; at 0 it is as likely as any other word.
    """
    bias = (np.arange(NUM_WORDS) == EOS).astype(np.float32) * eos_bias
    if sin is torch.sin:
        bias = torch.from_numpy(bias)
    return 3 * sin((prefixes[..., :, None] * frequencies).sum(-2)) + bias


@functools.cache
def toy_frequencies():
    return np.random.default_rng(0).uniform(0, 6, (NUM_ROWS, MAX_LEN, NUM_WORDS)).astype(np.float32)


def toy_reference(alpha, eos_bias):
    def logits(row, prefixes):
        padded = np.array(
            [[token + 1 for token in prefix] + [0] * (MAX_LEN - len(prefix)) for prefix in prefixes]
        )
        return toy_logits(padded, toy_frequencies()[row], eos_bias, np.sin)

    return reference(logits, NUM_ROWS, BEAM_SIZE, MAX_LEN, alpha)


def toy_jax(alpha, eos_bias):
    def decode_step(tokens_BG, position, visible_BGPG, cache_BPG):
        cache_BPG = cache_BPG.at[:, position].set(tokens_BG + 1)
        prefix_BGP = (visible_BGPG * cache_BPG[:, None]).sum(-1)
        return toy_logits(prefix_BGP, jnp.asarray(toy_frequencies())[:, None], eos_bias, jnp.sin), cache_BPG

    # What the cache holds at first must not matter.
    cache = jnp.full((NUM_ROWS, MAX_LEN, BEAM_SIZE), 7, jnp.int32)
    options = {"batch_size": NUM_ROWS, "beam_size": BEAM_SIZE, "max_len": MAX_LEN, "alpha": alpha}
    return np.asarray(
        jax.jit(lambda cache: beam_search_jax.beam_search(decode_step, cache, **options))(cache)
    )


def toy_torch(alpha, eos_bias, rows=range(NUM_ROWS)):
    """(best sequences, number of steps)."""
    cache_BPG = torch.full((len(rows), MAX_LEN, BEAM_SIZE), 7)
    frequencies = torch.from_numpy(toy_frequencies()[list(rows)])[:, None]
    positions = []

    def decode_step(tokens_BG, position, visible_BGPG):
        positions.append(position)
        cache_BPG[:, position] = tokens_BG + 1
        prefix_BGP = (visible_BGPG * cache_BPG[:, None]).sum(-1)
        return toy_logits(prefix_BGP, frequencies, eos_bias, torch.sin)

    options = {"batch_size": len(rows), "beam_size": BEAM_SIZE, "max_len": MAX_LEN, "alpha": alpha}
    best = beam_search_torch.beam_search(decode_step, **options)
    assert positions == list(range(len(positions)))
    return best.numpy(), len(positions)


@pytest.mark.parametrize(("alpha", "eos_bias"), [(0.6, 0.0), (0.6, -5.0), (0.0, 0.0)])
def test_both_frameworks_find_the_sequences_of_the_reference(alpha, eos_bias):
    wanted, _ = toy_reference(alpha, eos_bias)
    num_finished = sum(EOS in sequence for sequence in wanted)
    # Where EOS is unlikely, some searches end with nothing finished.
    assert 0 < num_finished < NUM_ROWS if eos_bias < 0 else num_finished == NUM_ROWS
    assert len({sequence.index(EOS) for sequence in wanted if EOS in sequence}) > 3 or eos_bias < 0
    padded = np.pad(np.array(wanted), ((0, 0), (0, 1)))
    np.testing.assert_array_equal(toy_jax(alpha, eos_bias), padded)
    np.testing.assert_array_equal(toy_torch(alpha, eos_bias)[0], padded)


def test_a_sentence_does_not_depend_on_the_others_of_its_batch():
    together, _ = toy_torch(0.6, eos_bias=0.0)
    for row in range(8):
        alone, _ = toy_torch(0.6, eos_bias=0.0, rows=[row])
        np.testing.assert_array_equal(alone[0], together[row])


@pytest.mark.parametrize("eos_bias", [3.0, 10.0])
def test_the_search_stops_as_soon_as_nothing_can_improve(eos_bias):
    wanted, num_steps = toy_reference(0.6, eos_bias)
    found, num_steps_found = toy_torch(0.6, eos_bias)
    np.testing.assert_array_equal(found[:, :-1], wanted)
    assert num_steps_found == num_steps < MAX_LEN - 1


def test_length_penalties_have_the_published_values():
    for module in (beam_search_jax, beam_search_torch):
        penalties = [module.length_penalty(length, 0.6) for length in (1, 10, 256)]
        np.testing.assert_allclose(penalties, [1, 1.732863, 9.618194], atol=1e-6)


# ---- the models ------------------------------------------------------------------------------------------------


# Weights with which the sentences of a batch get different translations, of different lengths.
SEEDS = {"wmt": 7, "wmt_post_ln": 10, "wmt_attention_temp": 10, "wmt_glu_tanh": 7}


class Evaluation(NamedTuple):
    pair: Pair
    batch: dict[str, np.ndarray]
    in_jax: dict[str, np.ndarray]
    in_torch: dict[str, np.ndarray]


@functools.cache
def evaluation(variant: str) -> Evaluation:
    # A second layer costs seconds to compile.
    num_layers = 2 if variant == "wmt" else 1
    pair = make_pair(
        with_model(f"{variant}_mini", vocab_size=24, max_len=12, num_layers=num_layers), SEEDS[variant]
    )
    batch = plain_batch(pair.spec, num_rows=6)
    batch["weights"][0, 3] = 0

    @jax.jit
    def in_jax(params, batch):
        return model_jax.eval_outputs(pair.jax_model, {"params": params}, batch, pair.spec)

    jax_outputs = in_jax(pair.params, batch)
    return Evaluation(
        pair, batch, {key: np.asarray(jax_outputs[key]) for key in jax_outputs}, in_torch(pair, batch)
    )


def in_torch(pair: Pair, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    with torch.inference_mode():
        outputs = model_torch.eval_outputs(pair.torch_model.eval(), to_torch(batch), pair.spec)
    return {key: value.numpy() for key, value in outputs.items()}


def without_cache(pair: Pair, inputs):
    """The reference search, running the whole PyTorch decoder over each prefix."""
    model = pair.torch_model.eval()

    def logits(row, prefixes):
        inputs_BS = torch.from_numpy(inputs[[row] * len(prefixes)]).long()
        tokens_BT = torch.tensor(prefixes)
        with torch.inference_mode():
            # The last word is lost in the shift to the right, so any will do.
            x_BSD, x_BTD = model.embed(inputs_BS, torch.nn.functional.pad(tokens_BT[:, 1:], (0, 1)))
            encoded_BSD = model.encode(x_BSD, inputs_BS)
            causal_B1TT = torch.ones(tokens_BT.shape[1], tokens_BT.shape[1], dtype=torch.bool).tril()[
                None, None
            ]
            # Not `model.decode`, which takes the token 0 for padding: while decoding it is a word like others.
            x_BTD = model.decoder(
                x_BTD,
                encoded_BSD,
                model_torch.additive_mask(causal_B1TT),
                model_torch.additive_mask((inputs_BS > 0)[:, None, None]),
                0.0,
            )
            return model._logits(x_BTD)[:, -1].numpy()

    config = pair.spec.model
    return reference(logits, len(inputs), config.beam_size, config.max_len, config.beam_alpha)[0]


@pytest.mark.parametrize("variant", VARIANTS)
def test_both_models_translate_as_the_reference_does(variant):
    pair, batch, in_jax, in_torch = evaluation(variant)
    wanted = np.array(without_cache(pair, batch["inputs"]))
    for outputs in (in_jax, in_torch):
        np.testing.assert_array_equal(outputs["hypotheses"][:, :-1], wanted)
        assert outputs["hypotheses"].shape == (6, 12)
        assert outputs["hypotheses"].dtype == np.int32
    assert len({tuple(row) for row in wanted.tolist()}) >= 3


@pytest.mark.parametrize("variant", VARIANTS)
def test_loss_and_correct_are_sums_over_the_tokens_of_a_row(variant):
    pair, batch, in_jax, in_torch = evaluation(variant)
    logits = pair.torch_logits(batch).astype(np.float64)
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    loss = -np.take_along_axis(log_probs, batch["targets"][..., None], -1)[..., 0] * batch["weights"]
    correct = (logits.argmax(-1) == batch["targets"]) * batch["weights"]
    for outputs in (in_jax, in_torch):
        np.testing.assert_allclose(outputs["loss"], loss.sum(1), rtol=1e-5)
        np.testing.assert_array_equal(outputs["correct"], correct.sum(1))


def test_rows_of_padding_leave_the_translations_of_others_as_they_are():
    pair, batch, _, alone = evaluation("wmt")
    padded = {key: np.pad(value, ((0, 3), (0, 0))) for key, value in batch.items()}
    outputs = in_torch(pair, padded)
    np.testing.assert_array_equal(outputs["hypotheses"][:6], alone["hypotheses"])
    np.testing.assert_array_equal(outputs["loss"][6:], 0)


def test_a_batch_without_weights_counts_the_targets_that_are_not_padding():
    pair, batch, _, _ = evaluation("wmt")
    bare = {key: batch[key] for key in ("inputs", "targets")}
    weighted = {**bare, "weights": batch["targets"] > 0}
    np.testing.assert_array_equal(in_torch(pair, bare)["loss"], in_torch(pair, weighted)["loss"])
