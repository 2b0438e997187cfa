"""Random masks of training passes in several PyTorch processes."""

import torch

from algoperf.backends.torch_processes import MaskGenerator


def test_each_process_draws_masks_of_its_own_and_leaves_the_global_generator_alone():
    drawn = []
    for index in range(2):
        torch.manual_seed(0)
        masks = MaskGenerator(7, index, torch.device("cpu"))
        with masks:
            first = torch.rand(8)
        torch.testing.assert_close(torch.rand(8), torch.rand(8, generator=torch.Generator().manual_seed(0)))
        with masks:
            second = torch.rand(8)
        drawn += [first, second]
    for number, one in enumerate(drawn):
        for other in drawn[number + 1 :]:
            assert not torch.equal(one, other)


def test_masks_go_on_from_a_saved_state():
    masks = MaskGenerator(7, 1, torch.device("cpu"))
    with masks:
        torch.rand(8)
    saved = masks.state.clone()
    with masks:
        wanted = torch.rand(8)
    resumed = MaskGenerator(7, 1, torch.device("cpu"))
    resumed.state = saved
    with resumed:
        assert torch.equal(torch.rand(8), wanted)
