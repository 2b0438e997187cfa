"""The examples of `data_selection`: batches used twice, and examples with a large loss preferred."""

import itertools
from typing import NamedTuple

import numpy as np
import pytest
from harness import shared_workload
from linear_workload import load

from algoperf import registry, spec
from algoperf.data.batch import map_arrays

BOTH = pytest.mark.parametrize("framework", ["jax", "torch"])
BATCH_SIZE = 64


class Session:
    """Weights of `digits`, a queue, and one algorithm."""

    def __init__(self, name, framework):
        self.module = load(name, framework)
        full_name = {"torch": "pytorch"}.get(framework, framework)
        self.workload = shared_workload(registry.get("digits"), full_name)
        backend = self.workload.backend
        self.params, self.model_state = self.workload.init_model_fn(backend.root_key(0))
        arguments = (self.workload, self.params, self.model_state, None, backend.root_key(0))
        self.state = self.module.init_optimizer_state(*arguments)
        self.stream = self.workload.data_module.train_stream(self.workload.spec, None, 0, BATCH_SIZE)
        self.drawn = []

    def queue(self):
        while True:
            self.drawn.append(next(self.stream))
            yield self.workload.model.to_device(self.drawn[-1])

    def select(self, global_step, queue=None):
        rng = self.workload.backend.root_key(global_step)
        return self.module.data_selection(
            *(self.workload, queue or self.queue(), self.state, self.params, self.model_state, None),
            *(global_step, rng),
        )

    def update(self, batch, global_step):
        self.state, self.params, self.model_state = self.module.update_params(
            workload=self.workload,
            current_param_container=self.params,
            current_params_types=self.workload.model_params_types,
            model_state=self.model_state,
            hyperparameters=None,
            batch=batch,
            loss_type=self.workload.loss_type,
            optimizer_state=self.state,
            eval_results=[],
            global_step=global_step,
            rng=self.workload.backend.root_key(global_step),
        )


def images(batch):
    """The rows of a batch on a device or on the host, as bytes; PyTorch's are (B, C, H, W)."""
    return [np.asarray(row).tobytes() for row in batch["inputs"]]


@BOTH
def test_every_batch_serves_two_updates_in_a_row_also_after_a_restart(framework):
    session = Session("data_echoing", framework)
    seen = []
    for step in range(4):
        batch = session.select(step)
        seen.append(images(batch))
        session.update(batch, step)
    assert seen[0] == seen[1] != seen[2] == seen[3]
    assert len(session.drawn) == 2
    session.update(session.select(4), 4)
    backend = session.workload.backend
    saved = backend.save(session.params, session.model_state, session.state)
    again = Session("data_echoing", framework)
    again.params, again.model_state, again.state = backend.restore(
        saved, again.params, again.model_state, again.state
    )
    assert images(again.select(5)) == images(session.select(5))
    assert not again.drawn, "it came from the checkpoint"


@BOTH
def test_a_biased_batch_is_drawn_without_replacement_from_the_pool_and_has_larger_losses(framework):
    session = Session("biased_sampling", framework)
    ratios = []
    for draw in range(8):
        session.drawn.clear()
        chosen = images(session.select(2 * draw))
        pool = list(
            itertools.chain.from_iterable(images(arranged(session, batch)) for batch in session.drawn)
        )
        assert len(session.drawn) == 2
        assert len(chosen) == BATCH_SIZE
        assert len(set(chosen)) == BATCH_SIZE
        assert set(chosen) <= set(pool)
        losses = dict(
            zip(pool, np.concatenate([loss(session, batch) for batch in session.drawn]), strict=True)
        )
        ratios.append(np.mean([losses[row] for row in chosen]) / np.mean(list(losses.values())))
    assert np.mean(ratios) > 1.01


def test_processes_choose_with_noise_of_their_own_and_one_alone_with_the_default_generator(monkeypatch):
    module, device = load("biased_sampling", "torch"), "cpu"
    import torch
    import torch.distributed as dist

    assert module.generator_of([1, 2], device) is None
    monkeypatch.setattr(dist, "is_initialized", lambda: True)

    def draw(rank, rng):
        monkeypatch.setattr(dist, "get_rank", lambda: rank)
        return torch.rand(3, generator=module.generator_of(rng, device)).tolist()

    assert draw(0, [1, 2]) == draw(0, [1, 2])
    assert len({tuple(draw(rank, rng)) for rank in (0, 1) for rng in ([1, 2], [1, 3])}) == 4


def arranged(session, batch):
    return session.workload.model.to_device(batch)


def loss(session, batch):
    """Per example, with the weights of the session."""
    on_device = arranged(session, batch)
    logits, _ = session.workload.model_fn(
        session.params,
        on_device,
        session.model_state,
        spec.ForwardPassMode.EVAL,
        None,
        update_batch_norm=False,
    )
    return np.asarray(session.workload.loss_fn(on_device["targets"], logits)["per_example"])


class Graph(NamedTuple):
    nodes: np.ndarray
    edges: np.ndarray


@BOTH
def test_between_selections_and_where_examples_are_no_rows_batches_come_as_they_are(framework):
    session = Session("biased_sampling", framework)
    batch = session.select(1)
    assert len(session.drawn) == 1
    assert images(batch) == images(arranged(session, session.drawn[0]))
    graphs = {"inputs": Graph(np.zeros((5, 2)), np.zeros((7, 2))), "targets": np.zeros(3)}
    if framework == "torch":
        import torch

        graphs = map_arrays(torch.from_numpy, graphs)
    assert session.select(0, iter([graphs])) is graphs
