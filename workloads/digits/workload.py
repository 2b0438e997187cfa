"""Facts of the digits workload: handwritten digits that come with scikit-learn; the fastest workload to try."""

from algoperf.spec import LossType
from algoperf.workload import Family, Variant, WorkloadSpec

FAMILY = Family(
    base=WorkloadSpec(
        name="digits",
        family="digits",
        target_metric_name="accuracy",
        higher_is_better=True,
        # Source of targets, budget and step hint: measured here, see README.md.
        validation_target_value=0.976,
        test_target_value=0.976,
        loss_type=LossType.SOFTMAX_CROSS_ENTROPY,
        num_train_examples=1_297,
        num_eval_train_examples=250,
        num_validation_examples=250,
        num_test_examples=250,
        eval_batch_size=250,
        max_allowed_runtime_sec=30,
        eval_period_time_sec=0.5,
        step_hint=2_000,
        default_batch_size=64,
        default_dropout_rate=0.0,
        output_params={"jax": ("Dense_1",), "pytorch": ("output.weight", "output.bias")},
        # Inputs are pixels / 16.
        train_mean=0.0,
        train_stddev=16.0,
        model={"channels": (16, 32), "hidden": 64, "num_classes": 10, "use_batch_norm": False},
        data={"split_seed": 20240229},
    ),
    variants={"batch_norm": Variant(model={"use_batch_norm": True})},
)
