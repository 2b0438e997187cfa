"""Global batch sizes of the reference algorithms: one table for all of them, in both frameworks."""

from algoperf.spec import no_such

# Examples per update over all devices. Source: the baselines of AlgoPerf 0.6 (those of 2026 for `finewebedu_lm`), where
# they are fixed per workload and are no hyperparameters. For names that are not listed `get_batch_size` raises; the
# harness then asks for the base workload of a variant, and gives a mini workload the default of its workload.py, so
# these need no entries.
BATCH_SIZES = {
    "criteo1tb": 262_144,
    "fastmri": 32,
    "finewebedu_lm": 64,
    "imagenet_resnet": 1024,
    "imagenet_resnet_gelu": 512,  # GELU and SiLU keep more activations for the backward pass than ReLU
    "imagenet_resnet_silu": 512,
    "imagenet_vit": 1024,
    "librispeech_conformer": 256,
    "librispeech_deepspeech": 256,
    "ogbg": 512,
    "wmt": 128,
    "digits": 64,  # for development
}


def get_batch_size(workload_name: str) -> int:
    """Examples per update over all devices.

    Raises:
      ValueError: for a workload without an entry.

    >>> get_batch_size("wmt")
    128
    """
    if workload_name not in BATCH_SIZES:
        raise no_such("workload with a batch size", workload_name, BATCH_SIZES)
    return BATCH_SIZES[workload_name]
