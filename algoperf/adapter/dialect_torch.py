"""Optimizers in PyTorch: classes like those of `torch.optim`."""

from algoperf.adapter.dialect import Dialect

DIALECT = Dialect(
    package="torch",
    example="torch.optim.SGD",
    rate="lr=0.1",
    is_functional=False,
    numbers="",
)
