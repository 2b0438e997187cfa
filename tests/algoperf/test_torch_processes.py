"""Several PyTorch processes: their devices, and the random masks of their training passes."""

import contextlib

import pytest
import torch
from torch import nn

from algoperf import pytorch_utils
from algoperf.backends.torch_processes import MaskGenerator
from algoperf.spec import UsageError
from reference_algorithms.sam import submission_torch as sam


def test_each_process_draws_masks_of_its_own_and_leaves_the_global_generator_alike_on_all():
    drawn, own_draws = [], []
    for index in range(2):
        torch.manual_seed(0)
        masks = MaskGenerator(index, torch.device("cpu"))
        for _ in range(2):
            with masks:
                drawn.append(torch.rand(8))
            own_draws.append(torch.rand(8))
    torch.testing.assert_close(own_draws[:2], own_draws[2:], rtol=0, atol=0)
    for number, one in enumerate(drawn):
        for other in drawn[number + 1 :] + own_draws:
            assert not torch.equal(one, other)


def test_masks_go_on_from_a_saved_state_of_the_global_generator():
    torch.manual_seed(0)
    masks = MaskGenerator(1, torch.device("cpu"))
    with masks:
        torch.rand(8)
    saved = torch.get_rng_state()
    with masks:
        wanted = torch.rand(8)
    torch.manual_seed(7)
    resumed = MaskGenerator(1, torch.device("cpu"))
    torch.set_rng_state(saved)
    with resumed:
        assert torch.equal(torch.rand(8), wanted)


def test_both_passes_of_sam_see_the_same_masks_on_one_process_and_on_several():
    for masks in (contextlib.nullcontext(), MaskGenerator(0, torch.device("cpu"))):
        model, seen = nn.Linear(4, 1), []

        def mean_loss(update_batch_norm=True, masks=masks, model=model, seen=seen):
            with masks:
                seen.append(torch.rand(8))
            loss = model(torch.ones(2, 4)).mean()
            return loss, loss, None

        gradient = sam.sharpness_aware_gradient(0.1)
        for _ in range(2):
            gradient(mean_loss, model)
        first, again, second, again_too = seen
        assert torch.equal(first, again)
        assert torch.equal(second, again_too)
        assert not torch.equal(first, second)


def test_more_processes_than_gpus_are_refused_with_both_numbers(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name, value in {"LOCAL_RANK": "2", "LOCAL_WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=r"started 4 processes .* sees 2 GPU.*--nproc_per_node=2"):
        pytorch_utils.pytorch_setup()
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert pytorch_utils.pytorch_setup() == (True, 1, torch.device("cuda:1"), 2)
