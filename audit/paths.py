"""What an expression may stand for, as text: names of other packages, arguments of the API, what they lead to.

torch.nn.Module.eval        a name of another package; `builtins.open` for Python's own
@workload.evaluator         an attribute of the argument `workload`; also @model, @batch, @eval_results, ...
@model.modules()[]          `()` is what a call gives, `[key]` an entry, `[]` an entry of unknown key
:12  :12()                  function, class or module number 12 of the submission; an object of class 12
{3:40:8}                    the dict or list that file 3 makes in line 40
'text  #64  @fact           a text, a number, a number that was computed from facts of the workload alone
"""

ARGUMENTS = {
    "workload": "@workload",
    "current_param_container": "@model",
    "model_params": "@model",
    "model_state": "@model_state",
    "input_queue": "@input_queue",
    "batch": "@batch",
    "eval_results": "@eval_results",
    "train_state": "@train_state",
    "hyperparameters": "@hyperparameters",
    "global_step": "@global_step",
    "workload_name": "@workload_name",
}
"""Names by which the harness passes something -> what it is. Anything called so is taken for it."""

POSITIONALS = {
    "get_batch_size": ("workload_name",),
    "init_optimizer_state": ("workload", "model_params", "model_state", "hyperparameters", "rng"),
    "data_selection": (
        *("workload", "input_queue", "optimizer_state", "current_param_container", "model_state"),
        *("hyperparameters", "global_step", "rng"),
    ),
}
"""Function of the API -> names of the arguments that the harness passes by position."""
API = (*POSITIONALS, "update_params", "prepare_for_eval", "get_eval_batch_size")

FACTS = (
    *("step_hint", "max_allowed_runtime_sec", "eval_period_time_sec", "target_metric_name"),
    *("validation_target_value", "test_target_value", "num_train_examples", "num_eval_train_examples"),
    *("num_validation_examples", "num_test_examples", "eval_batch_size", "train_mean", "train_stddev"),
)
"""Attributes of the workload by which one can be told from another; formulas may use them (R3.3)."""
UNKNOWN = "\0"
"""Stands for the part of a text that is not known before the submission runs."""
MAX_PARTS = 8
"""Of a path; longer ones are cut, so that loops end."""


def is_fact(path: str) -> bool:
    """Whether it is a number or a text by which a workload can be recognised."""
    return path == "@fact" or (path.startswith("@workload.") and path[10:] in FACTS)


def is_text(path: str) -> bool:
    """Whether it is a text that the source spells out, perhaps with unknown parts."""
    return path[:1] == "'"


def is_constant(path: str) -> bool:
    """Whether the source spells it out."""
    return path[:1] in ("'", "#")


def is_known(path: str) -> bool:
    """Whether a text has no unknown part."""
    return path[:1] == "'" and UNKNOWN not in path


def is_own(path: str) -> bool:
    """Whether it is of the submission itself: a function, a class, an object, a container."""
    return path[:1] in (":", "{")


def root(path: str) -> str:
    """Where a path starts: the argument, the own object, the package.

    >>> root("@workload.evaluator.x[1]"), root("torch.nn.Module"), root("{3:40:8}[a]"), root(":12().x")
    ('@workload', 'torch', '{3:40:8}', ':12')
    """
    if path[:1] == "{":
        return path[: path.index("}") + 1]
    return path[: min((at for sign in ".[(" if (at := path.find(sign)) > 0), default=len(path))]


def starts(path: str, beginning: str) -> bool:
    """Whether a path is one or leads on from it.

    >>> starts("sys._getframe().f_locals", "sys._getframe"), starts("timeit.timeit", "time")
    (True, False)
    """
    return path.startswith(beginning) and path[len(beginning) : len(beginning) + 1] in ("", ".", "[", "(")


def longer(path: str, part: str) -> str:
    """The path with one more part; itself where it is long enough."""
    if path.count(".") + path.count("[") + path.count("(") >= MAX_PARTS:
        return path
    return path + part
