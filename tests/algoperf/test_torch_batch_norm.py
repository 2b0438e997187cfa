import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing

from algoperf.layers.torch_batch_norm import BatchNorm2d
from algoperf.pytorch_utils import FrozenRunningStatistics, batch_norm_layers


def batches(count, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(1.0, 2.0, size=(4, 3, 5, 2)).astype(np.float32) for _ in range(count)]


def randomised(channels=2):
    layer = BatchNorm2d(channels)
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(0.5, 1.5, channels))
        layer.bias.copy_(torch.linspace(-1, 1, channels))
    return layer


def test_outputs_and_running_statistics_are_those_of_flax():
    layer, flax = randomised(), nn.BatchNorm(use_running_average=False, momentum=0.9, epsilon=1e-5)
    params = {"scale": jnp.asarray(layer.weight.detach()), "bias": jnp.asarray(layer.bias.detach())}
    state = {"mean": jnp.zeros(2), "var": jnp.ones(2)}
    for x in batches(3):
        wanted, updates = flax.apply({"params": params, "batch_stats": state}, x, mutable=["batch_stats"])
        state = updates["batch_stats"]
        found = layer(torch.tensor(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        np.testing.assert_allclose(found.detach(), wanted, atol=1e-5)
    np.testing.assert_allclose(layer.running_mean, state["mean"], rtol=1e-5)
    np.testing.assert_allclose(layer.running_var, state["var"], rtol=1e-5)
    x = batches(1, seed=1)[0]
    wanted = flax.clone(use_running_average=True).apply({"params": params, "batch_stats": state}, x)
    found = layer.eval()(torch.tensor(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    np.testing.assert_allclose(found.detach(), wanted, atol=1e-5)


def test_frozen_statistics_do_not_move_at_all():
    layer = randomised()
    layer(torch.tensor(batches(1)[0]).permute(0, 3, 1, 2))
    before = layer.running_mean.clone(), layer.running_var.clone()
    with FrozenRunningStatistics(batch_norm_layers(layer)):
        layer(torch.tensor(batches(1, seed=2)[0]).permute(0, 3, 1, 2))
    assert torch.equal(layer.running_mean, before[0])
    assert torch.equal(layer.running_var, before[1])


def test_it_compiles_as_one_graph():
    layer = randomised()
    x = torch.tensor(batches(1)[0]).permute(0, 3, 1, 2)
    compiled = torch.compile(layer, fullgraph=True, backend="eager")
    np.testing.assert_allclose(compiled(x).detach(), randomised()(x).detach())
    assert not torch.equal(layer.running_var, torch.ones(2))


def _one_of_two(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    layer = randomised()
    x = torch.tensor(batches(1)[0]).permute(0, 3, 1, 2)[2 * rank : 2 * rank + 2].requires_grad_()
    y = layer(x)
    (y * torch.sin(y)).sum().backward()
    torch.save((y.detach(), x.grad, layer.running_var, layer.weight.grad), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.filterwarnings("ignore")
def test_two_processes_normalise_by_their_common_batch(tmp_path):
    multiprocessing.spawn(_one_of_two, args=(str(tmp_path),), nprocs=2)
    shares = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    layer = randomised()
    x = torch.tensor(batches(1)[0]).permute(0, 3, 1, 2).requires_grad_()
    y = layer(x)
    (y * torch.sin(y)).sum().backward()
    np.testing.assert_allclose(torch.cat([share[0] for share in shares]), y.detach(), atol=1e-5)
    np.testing.assert_allclose(torch.cat([share[1] for share in shares]), x.grad, atol=1e-5)
    for share in shares:
        np.testing.assert_allclose(share[2], layer.running_var, rtol=1e-5)
    weight_grad = shares[0][3] + shares[1][3]
    np.testing.assert_allclose(weight_grad, layer.weight.grad, rtol=1e-4)
