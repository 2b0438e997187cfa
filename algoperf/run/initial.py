"""Parameters before and after `init_optimizer_state`, which prepares and does not train (R3.18)."""

from algoperf.backends.base import SubmissionError
from algoperf.bound_workload import Workload
from algoperf.run.state import TrialState
from algoperf.weights import digest


def seen(before: str | None, workload: Workload, state: TrialState) -> str:
    """The digest of the parameters and the model state of a trial that has not begun.

    Args:
      before: what this gave before `init_optimizer_state`; None before that.
      workload: the bound workload.
      state: of the trial.

    Raises:
      SubmissionError: if it is not as before.
    """
    found = digest(workload.model.weights(state.params, state.model_state))
    if before is not None and found != before:
        raise SubmissionError(
            "init_optimizer_state changed the parameters or the model state (R3.18): it prepares the optimizer's "
            "state, and training begins in update_params."
        )
    return found
