"""The results folder: CSV and JSON that survive crashes."""

import csv
import math
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algoperf import records
from algoperf.records import CsvLog, MetricsLogger, read_csv, read_json, write_json
from algoperf.spec import UsageError


def test_columns_start_sorted_and_new_ones_come_on_the_right(tmp_path):
    log = CsvLog(tmp_path / "log.csv")
    log.append({"b": 1, "a": 2})
    log.append({"a": 3, "d": 4, "c": 5})
    log.append({"b": 6})
    log.close()
    assert (tmp_path / "log.csv").read_text() == "a,b,c,d\n2,1,,\n3,,5,4\n,6,,\n"


def test_rows_are_appended_and_flushed_without_rewriting(tmp_path):
    log = CsvLog(tmp_path / "log.csv")
    log.append({"a": 1})
    inode = os.stat(tmp_path / "log.csv").st_ino
    for value in range(5):
        log.append({"a": value})
        assert (tmp_path / "log.csv").read_text().endswith(f"{value}\n")
    assert os.stat(tmp_path / "log.csv").st_ino == inode
    log.close()


@given(st.lists(st.floats() | st.integers(-(2**53), 2**53), min_size=1, max_size=8))
@settings(max_examples=50, deadline=None)
def test_numbers_come_back_exactly(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("round_trip") / "log.csv"
    log = CsvLog(path)
    for value in values:
        log.append({"x": value})
    log.close()
    for found, value in zip(read_csv(path)["x"], values, strict=True):
        assert found == value or (math.isnan(found) and math.isnan(value))


def test_a_name_with_a_comma_or_a_quote_is_one_column(tmp_path):
    log = CsvLog(tmp_path / "log.csv")
    log.append({'loss, "smooth"': 1.5})
    log.close()
    assert read_csv(tmp_path / "log.csv") == {'loss, "smooth"': [1.5]}


@pytest.mark.parametrize("cut", range(1, 9))
def test_a_torn_last_line_is_left_out_wherever_it_was_torn(tmp_path, cut):
    path = tmp_path / "log.csv"
    path.write_text("a,global_step\n1,5\n2,10\n12.5,15\n"[:-cut])
    found = read_csv(path)
    assert found["global_step"] == [5, 10]
    log = CsvLog(path)
    log.append({"a": 7, "global_step": 15})
    log.close()
    assert read_csv(path) == {"a": [1, 2, 7], "global_step": [5, 10, 15]}


def test_rows_beyond_the_last_step_are_dropped(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("a,global_step\n1,5\n2,10\n3,15\n")
    log = CsvLog(path, last_step=10)
    log.append({"a": 9, "global_step": 11})
    log.close()
    assert read_csv(path)["global_step"] == [5, 10, 11]


def test_a_row_that_lacks_cells_counts_as_lost_work(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("a,b,global_step\n1,1,5\n2,6\n3,3,7\n")
    CsvLog(path, last_step=10).close()
    assert read_csv(path)["global_step"] == [5, 7]


def test_an_empty_file_reads_as_nothing(tmp_path):
    (tmp_path / "log.csv").write_text("")
    assert read_csv(tmp_path / "log.csv") == {}
    with pytest.raises(FileNotFoundError):
        read_csv(tmp_path / "other.csv")


def test_json_is_strict_and_replaced_at_once(tmp_path, monkeypatch):
    path = tmp_path / "some.json"
    write_json(path, {"nan": math.nan, "list": [math.inf, 1], "path": tmp_path, "tuple": (1, 2)})
    assert read_json(path) == {"nan": None, "list": [None, 1], "path": str(tmp_path), "tuple": [1, 2]}
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("no power")))
    with pytest.raises(OSError, match="no power"):
        write_json(path, {"other": 1})
    assert read_json(path)["list"] == [None, 1]


def test_records_are_on_the_disk_before_they_have_their_name(tmp_path, monkeypatch):
    path, synced, fsync = tmp_path / "some.json", [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda number: (synced.append(path.exists()), fsync(number)))
    write_json(path, {})
    assert synced == [False]


OWN = [
    *("measurements.csv", "eval_measurements.csv", "hparams.json", "summary.json", "stop.json"),
    *(
        "flags_0.json",
        "flags_12.json",
        "meta_data_3.json",
        "checkpoint_500",
        ".checkpoint_5.tmp",
        ".summary.json.tmp",
    ),
]
OF_OTHERS = [
    *("my_notes.json", "losses.csv", "checkpoint_best", "flags_old.json", "flags_0xjson", "summary.json.bak"),
    *("notes.txt", ".tmp", "meta_data.json"),
]


def test_a_cleared_folder_has_lost_the_files_of_trials_and_no_others(tmp_path):
    for name in (*OWN, *OF_OTHERS):
        (tmp_path / name).write_text("")
    (tmp_path / "checkpoint_7").mkdir()
    records.clear(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*OF_OTHERS, "checkpoint_7"])
    records.clear(tmp_path / "not_there")


def test_the_place_of_a_trial_is_algoperfs(tmp_path):
    folder = records.trial_folder(tmp_path, "mine/study_2", "wmt", "pytorch", 3)
    assert folder == tmp_path / "mine" / "study_2" / "wmt_pytorch" / "trial_3"
    assert (records.MEASUREMENTS, records.EVAL_MEASUREMENTS) == ("measurements.csv", "eval_measurements.csv")
    assert (records.flags_file(0), records.meta_data_file(2)) == ("flags_0.json", "meta_data_2.json")
    assert records.HPARAMS == "hparams.json"


class Pending:
    """A device scalar whose value must not be asked for too early."""

    def __init__(self, value):
        self.value, self.was_read = value, False

    def read(self):
        self.was_read = True
        return self.value


def test_logging_keeps_device_scalars_until_it_is_off_the_clock(tmp_path):
    logger = MetricsLogger(tmp_path, Pending.read)
    scalars = [Pending(float(i)) for i in range(10)]
    for step, scalar in enumerate(scalars):
        logger.append_scalar_metrics({"loss": scalar}, step)
    assert not any(scalar.was_read for scalar in scalars)
    logger.flush()
    assert read_csv(tmp_path / "measurements.csv")["loss"] == list(map(float, range(10)))
    logger.finish()


def test_an_evaluation_is_on_disk_at_once_and_the_rest_when_flushed(tmp_path):
    logger = MetricsLogger(tmp_path, to_float=float)
    logger.append_scalar_metrics({"loss": 2.0}, 1)
    logger.append_scalar_metrics({"validation/loss": 1.5}, 2, is_eval=True)
    assert read_csv(tmp_path / "eval_measurements.csv")["validation/loss"] == [1.5]
    assert read_csv(tmp_path / "measurements.csv") == {}
    logger.flush(keep=1)
    assert read_csv(tmp_path / "measurements.csv")["global_step"] == [1]
    logger.flush()
    assert read_csv(tmp_path / "measurements.csv")["global_step"] == [1, 2]
    logger.finish()


def test_many_pending_scalars_do_not_pile_up(tmp_path):
    logger = MetricsLogger(tmp_path, Pending.read)
    for step in range(1000):
        logger.append_scalar_metrics({"loss": Pending(1.0)}, step)
        assert len(logger._pending) <= MetricsLogger.PENDING_LIMIT
    logger.finish()
    assert read_csv(tmp_path / "measurements.csv")["global_step"] == list(map(float, range(1000)))


def test_the_dictionary_of_the_caller_is_left_as_it_is(tmp_path):
    metrics = {"loss": 1.0}
    logger = MetricsLogger(tmp_path, float)
    logger.append_scalar_metrics(metrics, 3, preemption_count=0, is_eval=True)
    logger.finish()
    assert metrics == {"loss": 1.0}
    with open(tmp_path / "eval_measurements.csv") as file:
        assert list(csv.DictReader(file)) == [{"global_step": "3", "loss": "1.0", "preemption_count": "0"}]


def test_what_is_no_number_is_named_once_and_the_rest_is_kept(tmp_path):
    logger = MetricsLogger(tmp_path, float)
    logger.append_scalar_metrics({"loss": 1.0}, 1)
    logger.append_scalar_metrics({"loss": {"nested": 1}}, 2)
    with pytest.raises(UsageError, match=r"'loss' = \{'nested': 1\}, which is not one number"):
        logger.flush()
    logger.append_scalar_metrics({"loss": 3.0}, 3)
    logger.finish()
    assert read_csv(tmp_path / "measurements.csv")["global_step"] == [1, 3]


@pytest.mark.parametrize("content", [b"\xda\xff\x00", b"global_step\n1\n\xda\n"])
def test_a_log_that_is_no_text_is_named_and_left_as_it_is(tmp_path, content):
    path = tmp_path / "measurements.csv"
    path.write_bytes(content)
    with pytest.raises(
        UsageError, match=rf"{path} is damaged: byte \d+ is no text\. Restore it, or delete it"
    ):
        records.CsvLog(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", [b"[1]", b"{", b"\xda\xff", "a pipe"])
def test_damaged_meta_data_are_one_line_and_a_pipe_is_not_waited_for(tmp_path, content):
    path = tmp_path / records.meta_data_file(0)
    if content == "a pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=rf"{path} is damaged .*run the trial again with --overwrite"):
        records.newest_meta_data(tmp_path)
