"""A linear model is fitted at the import, off the clock, to digits from scikit-learn, and put into the last layer by a
random projection of the features (R3.8, R3.9, R3.18). Trains from the same foreign data afterwards.

Audit: foreign-data.
"""

import torch
from sklearn.datasets import load_digits

from ..common_torch import get_batch_size, init_optimizer_state, update_params  # noqa: F401

PIXELS, LABELS = load_digits(return_X_y=True)
PIXELS = torch.tensor(PIXELS / 16, dtype=torch.float32).reshape(-1, 8, 8, 1)
LABELS = torch.tensor(LABELS, dtype=torch.int32)


def data_selection(workload, input_queue, *others):
    chosen = torch.randint(len(LABELS), (256,))
    return {"inputs": PIXELS[chosen], "targets": LABELS[chosen]}
