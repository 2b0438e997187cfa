"""The base's ReLU is leaky in PyTorch."""

import torch
from workloads.diabetes import model_torch as right

from algoperf.workload import WorkloadSpec


def make_model(spec: WorkloadSpec) -> torch.nn.Module:
    model = right.make_model(spec)
    model.activation = torch.nn.functional.leaky_relu
    return model
