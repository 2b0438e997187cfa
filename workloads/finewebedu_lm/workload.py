"""Facts of the FineWeb-Edu language-modelling workload; sources are in this folder's README.md."""

from algoperf.spec import LossType
from algoperf.workload import Family, Variant, WorkloadSpec

MODEL = {
    "vocab_size": 50_257,  # GPT-2's pieces, end of text included.
    "seq_len": 1024,  # Tokens that the model sees; a stored sequence has one more.
    "emb_dim": 1024,
    "num_heads": 8,
    "num_layers": 12,
    "mlp_dim": 4096,
    "mlp": "glu",  # 'glu' or 'squared_relu'.
    "norm": "pre",  # 'pre' or 'post': before each part, or after it on the sum.
    "qk_norm": True,  # Queries and keys of length 1, with a learned scale; without, 1 / sqrt(head width).
    "tied_embeddings": True,  # The embedding is also the output layer.
    "rope_theta": 500_000.0,
    "compute_dtype": "auto",  # 'float32', 'bfloat16', or 'auto': float32 on CPUs and bfloat16 elsewhere.
}

DATA = {
    "tokenizer": "gpt2",  # 'gpt2', or 'trained': `vocab_size` pieces from the training documents.
    "tokenizer_bytes": 0,  # Size of the text that pieces are trained on.
}

FAMILY = Family(
    base=WorkloadSpec(
        name="finewebedu_lm",
        family="finewebedu_lm",
        target_metric_name="ppl",
        higher_is_better=False,
        validation_target_value=22.2995,
        test_target_value=None,  # There is no test split.
        loss_type=LossType.SOFTMAX_CROSS_ENTROPY,
        num_train_examples=8_749_870,
        num_eval_train_examples=10_000,
        num_validation_examples=100_000,
        num_test_examples=None,
        eval_batch_size=256,
        max_allowed_runtime_sec=31_967,
        eval_period_time_sec=2_571,
        step_hint=72_000,
        default_batch_size=64,
        has_dropout=False,
        output_params={"jax": ("shared_embedding",), "pytorch": ("shared_embedding.weight",)},
        model=MODEL,
        data=DATA,
    ),
    # Nobody has published targets for these; those of the base are provisional (see README.md).
    variants={
        "untied": Variant(
            model={"tied_embeddings": False},
            facts={"output_params": {"jax": ("output",), "pytorch": ("output.weight",)}},
        ),
        "squared_relu": Variant(model={"mlp": "squared_relu"}, mini_facts={"validation_target_value": 11.6}),
        "no_qk_norm": Variant(model={"qk_norm": False}),
        "post_norm": Variant(model={"norm": "post"}),
    },
    # Target, budget and step hint: docs/mini_calibration.md.
    mini=Variant(
        model={
            "vocab_size": 768,
            "seq_len": 128,
            "emb_dim": 128,
            "num_heads": 4,
            "num_layers": 4,
            "mlp_dim": 256,
            "rope_theta": 10_000.0,
            "compute_dtype": "float32",
        },
        data={"tokenizer": "trained", "tokenizer_bytes": 500_000},
        facts={
            "num_train_examples": 16_384,
            "num_eval_train_examples": 64,
            "num_validation_examples": 256,
            "eval_batch_size": 128,
            "validation_target_value": 12.1,
            "max_allowed_runtime_sec": 150,
            "eval_period_time_sec": 5,
            "step_hint": 800,
            "default_batch_size": 8,
        },
    ),
)
