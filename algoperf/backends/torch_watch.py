"""Watches loss and gradients of a submission in PyTorch, for `--debug`."""

import functools
from collections.abc import Callable
from typing import Any

import torch

from algoperf.backends.base import Saw
from algoperf.backends.torch_model import unwrap
from algoperf.spec import Workload


def watch(workload: Workload, saw: Saw) -> Callable[[], None]:
    """See `Backend.watch`. Gradients are seen when they arrive at a parameter."""
    model_fn, loss_fn = workload.model_fn, workload.loss_fn
    known: set[int] = set()

    def see(name: str, gradient: torch.Tensor) -> None:
        saw(f"gradient of {name}", gradient.detach().float().cpu().numpy())

    def watched_model_fn(*arguments: Any, **named: Any) -> Any:
        model = arguments[0] if arguments else named["params"]
        for name, param in unwrap(model).named_parameters():
            if id(param) not in known and param.requires_grad:
                known.add(id(param))
                param.register_hook(functools.partial(see, name))
        return model_fn(*arguments, **named)

    def watched_loss_fn(*arguments: Any, **named: Any) -> Any:
        loss = loss_fn(*arguments, **named)
        mean = loss["summed"].detach() / loss["n_valid_examples"].clamp(min=1)
        saw("loss", mean.float().cpu().numpy())
        return loss

    vars(workload).update(model_fn=watched_model_fn, loss_fn=watched_loss_fn)
    return lambda: None
