"""Learning curves of stored runs."""

import json
import re
import sys
from unittest import mock

import pytest

from algoperf import plots
from algoperf.spec import UsageError


def trial(root, name, workload="digits", rate=True, summary=True):
    """The folder of a stored run with three evaluations."""
    folder = root / name / "study_0" / f"{workload}_jax" / "trial_1"
    folder.mkdir(parents=True)
    rows = [f"{100 * n},{n},{0.3 * n},{1 - 0.3 * n}" for n in (1, 2, 3)]
    head = "global_step,score,validation/accuracy,validation/loss"
    (folder / "eval_measurements.csv").write_text("\n".join([head, *rows]) + "\n")
    if rate:
        (folder / "measurements.csv").write_text("global_step,learning_rate\n50,0.1\n150,0.05\n")
    if summary:
        content = {
            "status": "target_reached",
            "workload": workload,
            "target_metric": "accuracy",
            "validation_target": 0.9,
        }
        (folder / "summary.json").write_text(json.dumps(content))
    return folder


def lines_of(axis):
    return [line for line in axis.lines if len(line.get_xdata()) > 2 or line.get_linestyle() == "-"]


def test_curves_have_a_row_per_quantity_and_both_axes(tmp_path):
    trial(tmp_path, "mine")
    trial(tmp_path, "theirs", rate=False)
    figure = plots.draw(plots.find([tmp_path]))
    assert len(figure.axes) == 6  # Metric, loss and learning rate; seconds and updates.
    metric, by_step = figure.axes[:2]
    assert [list(line.get_ydata()) for line in lines_of(metric)] == [pytest.approx([0.3, 0.6, 0.9])] * 2
    assert list(lines_of(metric)[0].get_xdata()) == [1, 2, 3]
    assert list(lines_of(by_step)[0].get_xdata()) == [100, 200, 300]
    assert len({line.get_color() for line in lines_of(metric)}) == 2
    # Between evaluations there is no clock: seconds go evenly with the updates.
    rate = lines_of(figure.axes[4])[0]
    assert (list(rate.get_xdata()), list(rate.get_ydata())) == ([0.5, 1.5], [0.1, 0.05])
    assert figure._repr_png_().startswith(b"\x89PNG")  # Notebooks show it.
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["mine", "theirs"]


def test_a_quantity_that_no_run_has_gets_no_row_and_a_workload_its_own_columns(tmp_path):
    trial(tmp_path, "mine", rate=False)
    trial(tmp_path, "mine", workload="other", rate=False, summary=False)
    figure = plots.draw(plots.find([tmp_path]))
    assert len(figure.axes) == 8
    assert {axis.get_title() for axis in figure.axes} == {"digits", "other", ""}


@pytest.mark.parametrize("kind", [".png", ".svg"])
def test_the_command_writes_a_picture(tmp_path, kind, capsys):
    trial(tmp_path / "results", "mine")
    output = tmp_path / "new" / f"curves{kind}"
    with mock.patch.object(plots, "FLAGS", mock.Mock(output=str(output), workloads=["digits"])):
        plots.main(["plots", str(tmp_path / "results")])
    assert re.search(r"Written: .*, 1 runs\.", capsys.readouterr().out)
    assert output.read_bytes().startswith(b"\x89PNG" if kind == ".png" else b"<?xml")


def test_what_cannot_be_drawn_is_said(tmp_path):
    folder = trial(tmp_path / "results", "mine")
    curves = plots.find([folder])
    for call, words in (
        (lambda: plots.find([tmp_path / "nono"]), "There is no folder"),
        (lambda: plots.find([tmp_path / "results"], ["digit"]), "nearest is 'digits'"),
        (lambda: plots.draw(curves, tmp_path / "curves.gif"), r"\.png, \.svg"),
        (lambda: plots.main(["plots"]), "Say what to draw"),
    ):
        with pytest.raises(UsageError, match=words):
            call()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="No evaluation lies in"):
        plots.find([tmp_path / "empty"])
    with (
        mock.patch.dict(sys.modules, {"matplotlib.figure": None}),
        pytest.raises(UsageError, match="algoperf\\[plot\\]"),
    ):
        plots.draw(curves)
