"""`algoperf run --debug`: what people who write a submission are told, and that nothing is recorded."""

import re
import types

import numpy as np
import pytest
from absl import flags
from harness import FRAMEWORKS, digits, submission, trial_config

from algoperf.preflight import debug, debug_flags, finite, shortened
from algoperf.preflight import flags as preflight_flags
from algoperf.run import clock, trial
from algoperf.spec import UsageError

RUIN = {
    "jax": "import jax\ndef ruined(params):\n  return jax.tree.map(lambda leaf: leaf * float('nan'), params)\n",
    "pytorch": (
        "import torch\ndef ruined(params):\n  with torch.no_grad():\n    next(params.parameters())[0] = float('nan')\n"
        "  return params\n"
    ),
}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_debug_shows_every_update_finds_nan_and_records_nothing(framework, tmp_path, capsys):
    run = submission(framework)
    module = types.SimpleNamespace(**vars(run.module))
    own = module.update_params
    names = {}
    exec(RUIN[framework], names)

    def ruins_the_third(**arguments):
        state, params, model_state = own(**arguments)
        return state, names["ruined"](params) if arguments["global_step"] == 2 else params, model_state

    module.update_params = ruins_the_third
    object.__setattr__(run, "module", module)
    config = trial_config(
        tmp_path, framework, run, digits(), eval_steps=(5,), eval_every_steps=None, max_steps=None
    )
    ended = trial.run(config, clock.Ledger(), debug.Host(0.0, 5, 16))
    assert ended.status == "failed"
    assert ended.error.startswith("Update 3 makes parameters that are not finite from finite gradients: ")
    said = capsys.readouterr().out
    assert "batch of 16" in said
    assert re.search("update 2: loss [0-9.]+, gradients finite, parameters finite, ", said)
    assert list(tmp_path.iterdir()) == []


def test_the_earliest_of_what_is_not_finite_is_named():
    seen = finite.Seen()
    seen.take("loss", np.float32(2.0))
    seen.take("gradient of dense/kernel", np.array([1.0, np.inf, np.nan, 0.0]))
    weights = {"dense/kernel": np.array([np.nan])}
    told = (
        r"^Update 4 computes gradients that are not finite, of a loss of 2: dense/kernel \(1 of 4 values NaN"
    )
    with pytest.raises(UsageError, match=told):
        seen.check(4, weights)
    seen.take("loss", np.float32(np.nan))
    with pytest.raises(UsageError, match=r"^Update 5 computes a loss that is not finite: NaN\.$"):
        seen.check(5, weights)


def test_a_traceback_keeps_the_frames_of_a_submission_and_the_one_that_raised():
    harness = str(shortened.ROOT / "algoperf" / "run" / "training.py")
    text = f"""Traceback (most recent call last):
  File "{harness}", line 1, in run
    step()
  File "{harness}", line 2, in step
    update_params()
  File "/home/me/mine.py", line 7, in update_params
    torch.add(a, b)
  File "/x/lib/python3.11/site-packages/torch/a.py", line 1, in add
    return inner()
  File "/x/lib/python3.11/site-packages/torch/b.py", line 9, in inner
    raise ValueError("no")
ValueError: no
"""
    assert shortened.shortened(text).splitlines() == [
        "Traceback (most recent call last):",
        "  … 2 frames of the harness",
        '  File "/home/me/mine.py", line 7, in update_params',
        "    torch.add(a, b)",
        "  … 1 frame of torch",
        '  File "/x/lib/python3.11/site-packages/torch/b.py", line 9, in inner',
        '    raise ValueError("no")',
        "ValueError: no",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch_size=8"], "--batch_size=8 is for --debug alone"),
        (["--debug", "--batch_size=0"], "must be a positive number of examples, got 0"),
        (["--debug", "--preflight"], "leave one of them out"),
    ],
)
def test_what_debug_does_not_go_with_is_refused(arguments, message):
    values = flags.FlagValues()
    debug_flags.define(values)
    preflight_flags.define(values)
    values(["run", *arguments])
    with pytest.raises(UsageError, match=message):
        debug_flags.wanted(values)
