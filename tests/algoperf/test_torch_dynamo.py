"""PyTorch's compiler is imported by what compiles, and by nothing else."""

import subprocess
import sys

import pytest
from harness import ROOT

pytestmark = pytest.mark.slow
SCRIPT = """
import sys

import torch
from algoperf import backends, registry
from workloads.digits import data


class Plain(torch.optim.Optimizer):
    def __init__(self, params):
        super().__init__(params, {"lr": 0.5})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for weight in group["params"]:
                weight -= group["lr"] * torch.ones_like(weight)


backend = backends.get_backend("pytorch")
backend = type(backend)()  # As a second trial of this process: the first one's ears are gone.
earlier, heard = [], []
backend.count_compilations(earlier.append)
backend.count_compilations(heard.append)
data.load_split(registry.get("digits"), "train")
weight, more = (torch.nn.Parameter(torch.zeros(2)) for _ in range(2))
optimizer = Plain([weight])
optimizer.add_param_group({"params": [more]})
for _ in range(2):
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.zero_grad()
assert weight.tolist() == more.tolist() == [-1, -1]
brought = {"torch._dynamo", "sympy", "sklearn", "scipy"} & set(sys.modules)
assert not brought, brought
torch.optim.SGD([weight])
assert "torch._dynamo" in sys.modules, "or its first step would import it, on the clock"
torch.compile(lambda x: x + 1, backend="eager")(weight)
assert heard == ["frame 0"], heard
assert not earlier
Plain([weight]).add_param_group({"params": [more]})  # As PyTorch has it.
"""


def test_an_optimizer_does_not_bring_the_compiler_and_what_compiles_later_is_counted():
    pytest.importorskip("torch")
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
