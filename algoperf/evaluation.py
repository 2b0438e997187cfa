"""Evaluation off the clock: metrics of all splits for given parameters."""

from collections.abc import Iterator, Mapping
from typing import Any

import psutil

from algoperf import registry
from algoperf.backends.base import BoundWorkload
from algoperf.data import locate
from algoperf.data.batch import arrays, shard_options
from algoperf.data.prefetch import prefetched
from algoperf.spec import ModelAuxiliaryState, ParameterContainer, UsageError
from algoperf.workload import WorkloadSpec

SPLITS = {"eval_train": "train", "validation": "validation", "test": "test"}
"""Split -> prefix of its metrics; AlgoPerf logs the split eval_train as `train/`."""


def splits_of(spec: WorkloadSpec) -> dict[str, str]:
    """The part of `SPLITS` that a workload has: not all have a test split."""
    return {split: prefix for split, prefix in SPLITS.items() if split != "test" or spec.has_test_split}


# An eighth of the memory, so that training batches and the page cache keep the rest.
CACHE_LIMIT_BYTES = max(4 * 2**30, psutil.virtual_memory().total // 8)
"""Evaluation batches are kept in host memory up to this size, all splits and processes of the host together."""


def numbers_of(spec: WorkloadSpec, metrics: Mapping[str, Any]) -> dict[str, float]:
    """The metrics of a split as floats. NaN is allowed, because training can diverge.

    Raises:
      UsageError: if the target metric is missing (no run could reach its target), or a metric is no number.
    """
    if spec.target_metric_name not in metrics:
        raise UsageError(
            f"The metrics of workload {spec.name!r} lack its target metric, {spec.target_metric_name!r}: its "
            f"make_metrics and eval_outputs give {', '.join(map(repr, metrics)) or 'nothing'}."
        )
    numbers = {}
    for name, value in metrics.items():
        try:
            if isinstance(value, str):  # float() would accept the string "0.5".
                raise TypeError
            numbers[name] = float(value)
        except (TypeError, ValueError):
            raise UsageError(
                f"Metric {name!r} of workload {spec.name!r} must be a number, got {value!r} of type "
                f"{type(value).__name__}: see make_metrics in workloads/README.md."
            ) from None
    return numbers


def named(spec: WorkloadSpec, split: str, metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics of one split under their names in the records, such as 'validation/loss'."""
    results = {f"{SPLITS[split]}/{name}": value for name, value in metrics.items()}
    if split == "validation":
        results["validation/num_examples"] = spec.num_validation_examples
    if split == "test":
        assert spec.num_test_examples is not None, spec.name
        results["test/num_examples"] = spec.num_test_examples
    return results


class Evaluator:
    """Evaluates one workload; evaluation batches are made once and kept in host memory while they fit.

    Padded rows have weight 0 and never count, so a metric does not depend on the batch size or on the
    number of devices.

    Args:
      workload: the bound workload.
      cache_limit_bytes: host memory for batches of all splits; by default this process's share of
        `CACHE_LIMIT_BYTES`.
    """

    def __init__(self, workload: BoundWorkload, cache_limit_bytes: int | None = None):
        self._workload = workload
        self._spec = workload.spec
        self.folder = locate.ready_folder(workload.spec, workload.data_dir)
        self._cache: dict[tuple[str, int], list[dict[str, Any]]] = {}
        if cache_limit_bytes is None:
            cache_limit_bytes = CACHE_LIMIT_BYTES // workload.backend.processes_on_host()
        self._room = cache_limit_bytes
        self._make_metrics = registry.metrics_module(workload.spec).make_metrics

    def _batches(self, split: str, batch_size: int) -> Iterator[dict[str, Any]]:
        key = (split, batch_size)
        if key in self._cache:
            yield from self._cache[key]
            return
        kept: list[dict[str, Any]] | None = []
        size = 0
        data = self._workload.data_module
        shards = shard_options(data, self._workload.backend.num_devices())
        made = data.eval_batches(self._spec, self.folder, split, batch_size, **shards)
        for batch in prefetched(made):
            if kept is not None:
                size += sum(array.nbytes for array in arrays(batch))
                if size <= self._room:
                    kept.append(batch)
                else:
                    kept = None  # A part of a split is of no use: a later pass would have to make the batches again.
            yield batch
        if kept is not None:
            self._room -= size
            self._cache[key] = kept

    def evaluate_split(
        self,
        split: str,
        params: ParameterContainer,
        model_state: ModelAuxiliaryState,
        batch_size: int | None = None,
    ) -> dict[str, float]:
        """Metric name -> value on 'eval_train', 'validation' or 'test'; global random generators are as before."""
        model, backend = self._workload.model, self._workload.backend
        batch_size = batch_size or self._spec.eval_batch_size
        devices = backend.num_devices()
        batch_size = -(-batch_size // devices) * devices  # Every device gets equally many rows.
        # Draws of a workload's data or metrics would be those that the submission's next update has not got.
        random_state = backend.random_state()
        try:
            metrics = self._make_metrics(self._spec, self.folder)
            for batch in self._batches(split, batch_size):
                outputs = model.eval_step(params, model_state, model.eval_to_device(batch))
                metrics.update(batch, outputs)
            return numbers_of(self._spec, metrics.result())
        finally:
            backend.set_random_state(random_state)

    def evaluate(
        self, params: ParameterContainer, model_state: ModelAuxiliaryState, batch_size: int | None = None
    ) -> dict[str, float]:
        """Metrics of all splits as 'train/<m>', 'validation/<m>', 'test/<m>', with the numbers of examples."""
        results: dict[str, float] = {}
        for split in splits_of(self._spec):
            found = self.evaluate_split(split, params, model_state, batch_size)
            results.update(named(self._spec, split, found))
        return results
