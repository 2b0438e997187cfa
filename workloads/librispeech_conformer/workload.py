"""Facts of the LibriSpeech Conformer workload; sources are in this folder's README.md."""

from algoperf.workload import Family, Variant, WorkloadSpec
from workloads.librispeech import facts

MODEL = {
    "vocab_size": facts.VOCAB_SIZE,
    "encoder_dim": 512,
    "num_attention_heads": 8,
    "num_encoder_layers": 4,
    "feed_forward_expansion": 4,
    "conv_kernel_size": 5,
    "batch_norm_momentum": 0.999,  # Weight of the old running statistics in an update.
    "subsampling_channels": 512,
    "use_gelu": False,  # Instead of Swish, in the feed-forward and convolution modules.
    "use_post_layer_norm": True,  # A layer norm at the end of each block.
    "attention_temperature": 1.0,  # Factor on the output of attention.
    **facts.SPEC_AUGMENT,
}

FAMILY = Family(
    base=WorkloadSpec(
        name="librispeech_conformer",
        family="librispeech_conformer",
        model=MODEL,
        max_allowed_runtime_sec=58_015,
        step_hint=76_000,
        **facts.targets(0.085884, 0.052981),
        **facts.COMMON,
    ),
    variants={
        "attention_temperature": Variant(
            model={"attention_temperature": 1.6},
            facts=facts.targets(0.109977, 0.068065),
            mini_facts=facts.targets(0.45, 0.45),
        ),
        "layernorm": Variant(model={"use_post_layer_norm": False}, facts=facts.targets(0.09731, 0.05996)),
        "gelu": Variant(
            model={"use_gelu": True},
            facts=facts.targets(0.094114, 0.056629),
            mini_facts=facts.targets(0.433, 0.422),
        ),
    },
    # Targets, budget and step hint: docs/mini_calibration.md.
    mini=Variant(
        model={
            "vocab_size": facts.MINI_VOCAB_SIZE,
            "encoder_dim": 64,
            "num_attention_heads": 4,
            "num_encoder_layers": 2,
            "subsampling_channels": 16,
            "batch_norm_momentum": 0.9,  # Runs have about 1,000 steps, too few for 0.999.
            "freq_mask_count": 1,
            "freq_mask_max_bins": 6,
            "time_mask_count": 1,
            "time_mask_max_ratio": 0.03,
        },
        data=facts.MINI_DATA,
        facts={
            **facts.MINI_COUNTS,
            **facts.targets(0.472, 0.479),
            "max_allowed_runtime_sec": 140,
            "eval_period_time_sec": 5,
            "step_hint": 1_000,
            "default_batch_size": 16,
        },
    ),
)
