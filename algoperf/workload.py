"""The description of a workload as data; `algoperf.bound_workload` binds it to a framework.

A family (`workloads/<family>/workload.py`) writes one `Family`: its base facts, its variants as overrides
and its mini version as overrides. `Family.specs()` expands it to every name, for example 'wmt', 'wmt_post_ln',
'wmt_mini' and 'wmt_post_ln_mini'. Nothing here imports a framework.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import ml_collections

from algoperf import direction, frameworks, spec
from algoperf.spec import UsageError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """The same task with overrides; a variant is data, not a class."""

    model: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Overrides of the model configuration."""
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Overrides of the data configuration."""
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Overrides of other fields of `WorkloadSpec`, targets above all."""
    mini_facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Overrides for `<family>_<variant>_mini`, applied last, such as its targets."""
    mini_model: Mapping[str, Any] | None = None
    """Replaces `model` in the mini version, for variants that change sizes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkloadSpec:
    """Everything that is known about one workload without loading data or a framework."""

    name: str
    """The name on the command line and in result folders, without framework suffix."""
    family: str
    """Its folder under `workloads/`."""
    dataset: str = ""
    """Name of its data folder, shared by families with the same data; the family by default."""
    base_name: str = ""
    """Name that a submission is asked about when it does not know `name`; the family by default."""
    variant: str | None = None
    """Suffix of the variant; None for a base. Set by `Family`."""
    is_mini: bool = False
    """Whether this is a mini version, whose data are made on first use. Set by `Family`."""
    data_instance: str = ""
    """Which of its synthetic data it uses: '' for the public ones, else a part of the hash of their secret seed. Set by
    `algoperf.data.sealed`."""

    target_metric_name: str
    """Key of the metric without split prefix, as in 'validation/bleu'."""
    higher_is_better: bool
    """Whether the target is a floor (accuracy) or a ceiling (error rate, loss)."""
    validation_target_value: float
    """Value to reach on the validation split, which is scored; equality counts (R7.1)."""
    test_target_value: float | None
    """Value to reach on the test split; takes part in ending runs and is not scored (R7.3). None without that split."""
    loss_type: spec.LossType
    """Determines the output activation, and the loss unless the model files define `loss`."""

    num_train_examples: int
    """Examples in an epoch."""
    num_eval_train_examples: int
    """Size of the fixed training subset that is evaluated as 'train/...'."""
    num_validation_examples: int
    """Size of the validation split."""
    num_test_examples: int | None
    """Size of the test split; None where there is no such split, and a run ends by the validation target alone."""
    eval_batch_size: int
    """Global evaluation batch size; metrics do not depend on it."""

    max_allowed_runtime_sec: float
    """Budget on the submission clock in the external tuning ruleset, seconds."""
    eval_period_time_sec: float
    """Least wall time between the end of an evaluation and the start of the next, seconds."""
    step_hint: int
    """Updates that a baseline makes within the budget; submissions scale their schedules to it."""
    default_batch_size: int
    """Global batch size for a submission that does not know this workload."""
    default_dropout_rate: float = 0.0
    """Dropout rate for submissions that do not set one; in [0, 1)."""
    has_dropout: bool = True
    """Whether the model has dropout layers; if not, a dropout rate has no effect."""

    output_params: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    """Framework -> parameter keys of the output layer (JAX: top-level names, PyTorch: dotted names)."""
    train_mean: float | tuple[float, ...] | None = None
    """Mean of the raw inputs, per channel; None if it has no meaning."""
    train_stddev: float | tuple[float, ...] | None = None
    """Standard deviation of the raw inputs, per channel; None if it has no meaning."""
    model: ml_collections.ConfigDict = dataclasses.field(default_factory=ml_collections.ConfigDict)
    """Locked model configuration; its entries are also attributes of the bound workload."""
    data: ml_collections.ConfigDict = dataclasses.field(default_factory=ml_collections.ConfigDict)
    """Locked data configuration, read by the family's data.py."""

    def __post_init__(self) -> None:
        for field in ("base_name", "dataset"):
            if not getattr(self, field):
                object.__setattr__(self, field, self.family)
        for field in ("model", "data"):
            value = getattr(self, field)
            # A copy, so that a change of the caller's dictionary does not reach a spec that is frozen.
            config = ml_collections.ConfigDict(dict(value))
            # The dataclass is frozen, so a default that depends on another field is set like this.
            object.__setattr__(self, field, ml_collections.FrozenConfigDict(config))
        counts = (
            "num_train_examples",
            "num_eval_train_examples",
            "num_validation_examples",
            "num_test_examples",
        )
        if (self.num_test_examples is None) != (self.test_target_value is None):
            raise UsageError(
                f"{self.name}: num_test_examples={self.num_test_examples!r} and "
                f"test_target_value={self.test_target_value!r} contradict each other: both are None for a workload "
                "without test split."
            )
        for field in (*counts, "eval_batch_size", "step_hint", "default_batch_size"):
            value = getattr(self, field)
            if value is None and field == "num_test_examples":
                continue
            if not isinstance(value, int) or value <= 0:
                raise UsageError(f"{self.name}: {field} must be a positive integer, got {value!r}.")
        for field in ("max_allowed_runtime_sec", "eval_period_time_sec"):
            value = getattr(self, field)
            if not (math.isfinite(value) and value > 0):
                raise UsageError(f"{self.name}: {field} must be a positive number of seconds, got {value!r}.")
        for field in ("validation_target_value", "test_target_value"):
            if getattr(self, field) is not None:
                direction.check_target(self.name, field, self.target_metric_name, getattr(self, field))
        for name in self.output_params:
            if name not in frameworks.names():
                raise spec.no_such(f"framework in output_params of {self.name}", name, frameworks.names())
        if not 0 <= self.default_dropout_rate < 1:
            raise UsageError(
                f"{self.name}: default_dropout_rate must be in [0, 1), got {self.default_dropout_rate!r}."
            )

    @property
    def has_test_split(self) -> bool:
        """Whether there is a test split; if not, its target counts as reached from the start."""
        return self.num_test_examples is not None

    def meets(self, value: float, target: float) -> bool:
        """Whether a metric value is at least as good as a target; NaN never is."""
        return direction.meets_target(value, target, self.target_metric_name, self.higher_is_better)

    def to_dict(self) -> dict[str, Any]:
        """The spec as plain JSON types."""
        result = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == "data_instance" and not value:
                continue  # So that records of public data are as they were before there were others.
            if isinstance(value, ml_collections.FrozenConfigDict):
                value = value.as_configdict().to_dict()
            elif isinstance(value, spec.LossType):
                value = value.name
            elif isinstance(value, Mapping):
                value = {key: list(item) for key, item in value.items()}
            result[field.name] = value
        return result

    def config_hash(self) -> str:
        """Short hash of the whole spec, targets and budget included, for the identity of trials."""
        text = json.dumps(self.to_dict(), sort_keys=True, default=list)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """A base workload with its variants and, by composition, their mini versions."""

    base: WorkloadSpec
    """The workload that variants and twins derive from."""
    variants: Mapping[str, Variant] = dataclasses.field(default_factory=dict)
    """Suffix ('post_ln') -> overrides."""
    mini: Variant | None = None
    """Overrides that make the mini version out of the base or of a variant."""

    def specs(self) -> dict[str, WorkloadSpec]:
        """Name -> spec for base, variants, mini version and mini variants."""
        found = {self.base.name: self.base}
        for suffix, variant in self.variants.items():
            name = f"{self.base.name}_{suffix}"
            found[name] = _override(self.base, variant, name=name, variant=suffix)
        if self.mini is not None:
            for full_name, full in list(found.items()):
                small = _override(full, self.mini, name=f"{full_name}_mini", is_mini=True)
                if full.variant is not None:
                    # The variant is applied after `mini`, so that its changes are kept in its twin.
                    variant = self.variants[full.variant]
                    model = variant.model if variant.mini_model is None else variant.mini_model
                    again = Variant(model=model, data=variant.data, facts=variant.mini_facts)
                    small = _override(small, again, name=small.name)
                found[small.name] = small
        return found


def _override(base: WorkloadSpec, overrides: Variant, **fields: Any) -> WorkloadSpec:
    changes: dict[str, Any] = dict(overrides.facts)
    for part in ("model", "data"):
        # A copy, so that the base does not change.
        config = ml_collections.ConfigDict(getattr(base, part).to_dict())
        wanted = getattr(overrides, part)
        for key in wanted:
            if key not in config:
                raise spec.no_such(f"{part} setting of {base.family}", key, list(config))
        config.update(dict(wanted))
        changes[part] = config
    known = {field.name for field in dataclasses.fields(WorkloadSpec)}
    for key in overrides.facts:
        if key not in known:
            raise spec.no_such("fact of a workload", key, known)
    return dataclasses.replace(base, **changes, **fields)
