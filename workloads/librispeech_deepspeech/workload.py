"""Facts of the LibriSpeech DeepSpeech workload; sources are in this folder's README.md."""

from algoperf.workload import Family, Variant, WorkloadSpec
from workloads.librispeech import facts

MODEL = {
    "vocab_size": facts.VOCAB_SIZE,
    "encoder_dim": 512,
    "num_lstm_layers": 6,
    "num_ffn_layers": 3,
    "subsampling_channels": 512,
    "use_tanh": False,  # Instead of ReLU, in the convolutions and the feed-forward layers.
    "enable_residual_connections": True,
    "enable_decoder_layer_norm": True,
    "layernorm_everywhere": False,  # Instead of batch norm.
    "batch_norm_momentum": 0.999,  # Weight of the old running statistics in each step.
    **facts.SPEC_AUGMENT,
}

FAMILY = Family(
    base=WorkloadSpec(
        name="librispeech_deepspeech",
        family="librispeech_deepspeech",
        model=MODEL,
        max_allowed_runtime_sec=44_405,
        step_hint=38_400,
        **facts.targets(0.119936, 0.074143),
        **facts.COMMON,
    ),
    variants={
        "tanh": Variant(
            model={"use_tanh": True},
            facts=facts.targets(0.150883, 0.098613),
            mini_facts=facts.targets(0.330, 0.335),
        ),
        "no_resnet": Variant(
            model={"enable_residual_connections": False}, facts=facts.targets(0.131564, 0.079297)
        ),
        "norm_and_spec_aug": Variant(
            model={
                "layernorm_everywhere": True,
                "enable_decoder_layer_norm": False,
                "freq_mask_count": 4,
                "time_mask_count": 15,
            },
            mini_model={
                "layernorm_everywhere": True,
                "enable_decoder_layer_norm": False,
                "freq_mask_count": 4,
                "time_mask_count": 3,  # 1.5 times the base's 2, as the full size has 15 against 10.
            },
            facts={**facts.targets(0.14342, 0.090976), "eval_batch_size": 128},
            mini_facts=facts.targets(0.56, 0.55),
        ),
    },
    # Targets, budget and step hint: docs/mini_calibration.md.
    mini=Variant(
        model={
            "vocab_size": facts.MINI_VOCAB_SIZE,
            "encoder_dim": 128,
            "num_lstm_layers": 2,
            "num_ffn_layers": 1,
            "subsampling_channels": 12,
            "time_mask_count": 2,
            "freq_mask_max_bins": 15,
            "batch_norm_momentum": 0.9,  # With 0.999, statistics would lag: a run has a few hundred steps.
        },
        data=facts.MINI_DATA,
        facts={
            **facts.MINI_COUNTS,
            **facts.targets(0.232, 0.266),
            "max_allowed_runtime_sec": 120,
            "eval_period_time_sec": 5,
            "step_hint": 900,
            "default_batch_size": 16,
        },
    ),
)
