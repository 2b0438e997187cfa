"""A small workload of the family and its data, made once."""

import dataclasses

import pytest

from algoperf import registry
from workloads.finewebedu_lm import data


@pytest.fixture(scope="session")
def small():
    """The mini workload with few short sequences."""
    spec = registry.get("finewebedu_lm_mini")
    return dataclasses.replace(
        spec,
        model={**spec.model, "seq_len": 16, "vocab_size": 400},
        data={**spec.data, "tokenizer_bytes": 20_000},
        num_train_examples=150,
        num_eval_train_examples=7,
        num_validation_examples=9,
    )


@pytest.fixture(scope="session")
def folder(small, tmp_path_factory):
    """Its prepared data."""
    place = tmp_path_factory.mktemp("finewebedu_lm")
    data.synthesize(small, place, progress=False)
    data.prepare(small, place, progress=False)
    return place
