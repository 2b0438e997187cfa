"""Global batch sizes of the reference algorithms: one table for all of them, in both frameworks."""

from algoperf.spec import no_such

# Examples per update over all devices. Source: the baselines of AlgoPerf 0.6. They were chosen once, per
# workload, and are no hyperparameters. A variant that is not listed raises; the harness then asks for its
# base workload, and gives a variant's mini twin the workload's default.
BATCH_SIZES = {
    "criteo1tb": 262_144,
    "fastmri": 32,
    "imagenet_resnet": 1024,
    "imagenet_resnet_gelu": 512,  # GELU and SiLU keep more activations for the backward pass than ReLU
    "imagenet_resnet_silu": 512,
    "imagenet_vit": 1024,
    "librispeech_conformer": 256,
    "librispeech_deepspeech": 256,
    "ogbg": 512,
    "wmt": 128,
    # Development workloads.
    "cifar": 128,
    "digits": 64,
    "mnist": 16,
    # Mini twins: the defaults of their workload.py, which were chosen for two CPU cores.
    "criteo1tb_mini": 512,
    "fastmri_mini": 8,
    "imagenet_resnet_mini": 128,
    "imagenet_vit_mini": 64,
    "librispeech_conformer_mini": 16,
    "librispeech_deepspeech_mini": 16,
    "ogbg_mini": 64,
    "wmt_mini": 16,
}


def get_batch_size(workload_name: str) -> int:
    """Examples per update over all devices.

    >>> get_batch_size("wmt")
    128
    """
    if workload_name not in BATCH_SIZES:
        raise no_such("workload with a batch size", workload_name, BATCH_SIZES)
    return BATCH_SIZES[workload_name]
