"""Batch normalisation in PyTorch with JAX's (Flax's) definition of its statistics."""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn


class SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over all processes. Its gradient is summed too, because every process uses the sum."""

    @staticmethod
    def forward(ctx, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        total = grad.clone()
        dist.all_reduce(total)
        return total


class BatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` as Flax computes it.

    Two things differ from PyTorch's own layer. The running variance is the mean over batches of the *biased*
    variance. And in a distributed run the statistics are those of the global batch, as they are in JAX, where one
    program sees the whole array.

    Args:
      num_features: channels C of inputs (B, C, H, W).
      eps: added to the variance.
      momentum: weight of the new batch in the running statistics; 0.1 is Flax's momentum of 0.9.
    """

    # PyTorch's own layer may lack each of them; this one has them all.
    running_mean: Tensor
    running_var: Tensor
    momentum: float

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1):
        super().__init__(num_features, eps=eps, momentum=momentum)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        if not self.training:
            return F.batch_norm(
                x_BCHW, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            return self._global_batch(x_BCHW)
        variance = self.running_var.clone()  # A copy, because PyTorch updates it in place.
        y_BCHW = F.batch_norm(
            x_BCHW, self.running_mean, variance, self.weight, self.bias, True, self.momentum, self.eps
        )
        count = x_BCHW.numel() // self.num_features
        with torch.no_grad():
            # PyTorch added the unbiased variance, larger by count / (count - 1): 1 / count is taken out again.
            kept = self.running_var * (1 - self.momentum)
            self.running_var.copy_(variance.lerp(kept, 1 / count))
        return y_BCHW

    def _global_batch(self, x_BCHW: Tensor) -> Tensor:
        """Statistics over the batches of all processes, which have equally many rows."""
        axes = (0, 2, 3)
        # One message for both moments: E[x] and E[x²], whose averages over processes are those of the global
        # batch.
        moments = torch.stack([x_BCHW.mean(axes), x_BCHW.square().mean(axes)])
        mean_C, square_C = (SumOverProcesses.apply(moments) / dist.get_world_size()).unbind()
        variance_C = (square_C - mean_C.square()).clamp_min(0)  # Rounding can make it slightly negative.
        with torch.no_grad():
            self.running_mean.lerp_(mean_C, self.momentum)
            self.running_var.lerp_(variance_C, self.momentum)
        scale_C = self.weight * torch.rsqrt(variance_C + self.eps)
        shift_C = self.bias - mean_C * scale_C
        return x_BCHW * scale_C[:, None, None] + shift_C[:, None, None]
