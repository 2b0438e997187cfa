"""What makes a refereed trial this trial, as the referee finds it and its children say it; and its repetition."""

import json
import shutil

import pytest
from harness import finish, process, trial_config
from refereed import EVERY, STEPS, results

from algoperf import records
from algoperf.referee import parcel
from algoperf.referee.book import Book
from algoperf.run import checkpoint, clock, stored
from algoperf.run import summary as summaries
from scoring import facts


def evaluate_as_by_time(trial, steps):
    """Makes the records say that evaluations came by time, after these updates."""
    path = trial / records.EVAL_MEASUREMENTS
    header, *rows = path.read_text().splitlines()
    place = header.split(",").index("global_step")
    kept = [row for row in rows if int(row.split(",")[place]) in steps]
    path.write_text("\n".join([header, *kept]) + "\n")
    flags = trial / records.flags_file(0)
    content = {**json.loads(flags.read_text()), "eval_every_steps": None, "max_global_steps": None}
    flags.write_text(json.dumps(content))


def refereed_as_scoring_says(trial, framework):
    (start,) = facts.read([str(trial / records.meta_data_file(0))], summaries.read(trial), {}, framework)
    return start.refereed


@pytest.fixture
def own_copy(pair, tmp_path):
    """own_copy(): results of the refereed trial in PyTorch in a folder that may be changed."""
    found = pair("pytorch")[1].trial
    shutil.copytree(found, tmp_path / "e" / found.relative_to(found.parents[2]))
    return results(tmp_path / "e")


def test_all_that_decides_a_trial_is_in_the_identity_of_a_refereed_one(pair, framework):
    plain, refereed = pair(framework)
    identity = refereed.summary["identity"]
    wanted = {"harness", "workload_source", "submission_source", "versions", "environment", "device"}
    assert identity.keys() >= wanted | {"torch_compile", "referee"}
    meta_data = [records.newest_meta_data(one.trial) for one in (plain, refereed)]
    assert meta_data[0]["sources"] == meta_data[1]["sources"]
    assert {"algoperf/referee/evaluator.py", "algoperf/run/judging.py"} <= meta_data[0]["sources"][
        "harness"
    ].keys()
    assert meta_data[1]["identity"] == identity
    assert [refereed_as_scoring_says(one.trial, framework) for one in (plain, refereed)] == [False, True]


def test_the_repetition_of_a_refereed_trial_is_refereed_and_equal(own_copy, tmp_path):
    """One that was evaluated by time, so that the referee knows after which updates an evaluation is due."""
    evaluate_as_by_time(own_copy.trial, (1, EVERY, STEPS))
    code, out, err = finish(
        process(f"--reproduce={own_copy.trial}", f"--experiment_dir={tmp_path / 'again'}")
    )
    assert code == 0, err
    assert out.strip().endswith("equal at 3 of 3 evaluations")
    assert "differs: referee" not in err + out
    again = next((tmp_path / "again").rglob(records.SUMMARY))
    ended = json.loads(again.read_text())
    assert (ended["refereed"], ended["findings"]) == (True, [])
    assert list(stored.evaluations_of(again.parent)) == [1, EVERY, STEPS]


def test_a_refereed_trial_is_not_continued_on_another_device(own_copy, started, tmp_path):
    """The referee has no device: it compares what its trainee says."""
    path = own_copy.trial / records.meta_data_file(0)
    content = json.loads(path.read_text())
    content["identity"]["device"] = "abacus"
    path.write_text(json.dumps(content))
    (own_copy.trial / records.SUMMARY).unlink()
    code, _, err = finish(started(tmp_path / "e"))
    assert code == 2, err
    assert "holds a run with another device ('abacus', now 'cpu')" in err


def test_changes_over_which_a_refereed_trial_goes_on_stay_in_its_records(own_copy, tmp_path):
    config, found = trial_config(tmp_path / "other", "pytorch"), checkpoint.find(own_copy.trial)
    book = Book(config, clock.Ledger())
    book.continue_from(found, ["harness (algoperf/run/due.py changed)"])
    step = found.about["global_step"]
    assert book.all_warnings() == [f"From step {step} on with another harness (algoperf/run/due.py changed)."]
    config.folder.mkdir(parents=True)
    book.keep(parcel.anonymous_file("checkpoint"))  # The trainee's part, which nobody reads.
    later = Book(config, clock.Ledger())
    later.continue_from(checkpoint.find(config.folder), ())
    assert later.all_warnings() == book.all_warnings()
