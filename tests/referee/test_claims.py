"""What a trainee says is typed: whatever it sends, the referee goes on, or names it as no words of its harness."""

import dataclasses
import json
import os
import pickle
import socket

import pytest
from harness import trial_config

from algoperf.referee import channel, claims, parcel, plausible
from algoperf.referee.book import Book
from algoperf.referee.channel import Channel, Closed, Message
from algoperf.referee.ended import Ended
from algoperf.referee.set_up import SetUp
from algoperf.run import checkpoint, clock
from algoperf.spec import UsageError

HUGE = 10**400
ODD = [
    None,
    True,
    -1,
    1.5,
    HUGE,
    float("nan"),
    float("inf"),
    "x",
    "x" * 10_000,
    [],
    [[]],
    {},
    {"a": {"b": "c"}},
]


@pytest.fixture
def book(tmp_path):
    return Book(trial_config(tmp_path, "pytorch"), clock.Ledger())


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd)[:12])
def test_no_claim_of_a_trainee_breaks_the_records(book, odd):
    names = ("seconds", "compilations", "hyperparameters_read", "peak_memory", "rows")
    inner = {
        name: {"update": odd, "host_bytes": odd, "device_bytes": odd, "device_bytes ": {"a": odd}}
        for name in names
    }
    row = {"global_step": 1, "loss": odd, "score": odd, "preemption_count": odd}
    for fields in (dict.fromkeys(names, odd), inner, {**inner, "rows": [row, {**row, "global_step": odd}]}):
        book.take_claims(Message("done", fields), ns=10)
        assert {type(size) for size in book.peak_memory()["device_bytes"].values()} <= {int}
        assert set(book.unread_hyperparameters()) <= set(book.config.point)
    json.dumps(claims.sentences([odd]), allow_nan=False)
    assert isinstance(claims.facts({"global_batch_size": odd})["global_batch_size"], int)


def test_a_trainee_says_nothing_of_what_the_referee_knows():
    said = {
        "device": "cpu",
        "identity": {},
        "seeds": {},
        "submission_hash": "a",
        "budget_sec": 1e9,
        "refereed": True,
    }
    assert claims.facts(said) == {"device": "cpu"}


def test_steps_beyond_the_numbers_of_tables_close_the_channel():
    with pytest.raises(Closed, match="no whole number"):
        Message("done", {"step": HUGE}).whole("step")


def test_files_that_nobody_asked_for_close_the_channel():
    one, other = map(Channel, socket.socketpair())
    with open(os.devnull) as file:
        one.send("done", files=(file.fileno(),))
        message = other.receive()
        with pytest.raises(Closed, match="files with a message 'done'"):
            message.without_files()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(message.files[0])
        for _ in range(2 * channel.MAX_FILES):
            socket.send_fds(one._socket, [b"\0"], [file.fileno()])
            other.has_message()
        socket.send_fds(one._socket, [b"\0"], [file.fileno()])
        with pytest.raises(Closed, match="files without messages"):
            other.has_message()
    one.close()
    other.close()


def pipe():
    read, write = os.pipe()
    os.close(write)
    return read


def holes():
    file = parcel.anonymous_file("checkpoint")
    os.write(file, b"begins well")
    os.ftruncate(file, 1 << 40)
    return file


@pytest.mark.parametrize(
    "make", [pipe, holes, lambda: os.open("/dev/zero", os.O_RDONLY)], ids=["pipe", "holes", "zeros"]
)
def test_a_checkpoint_that_has_no_end_is_none(make):
    file = make()
    with pytest.raises(Closed, match="something else than a checkpoint"):
        parcel.content((file,))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file)
    assert parcel.content(()) is None


@pytest.mark.parametrize("step", [1, 400])
def test_the_first_evaluation_is_looked_at_whatever_step_the_trainee_says_it_is(book, step):
    """R6.7: it is the one after the first step."""
    book.initial_metrics = {"validation/accuracy": 0.1}
    book.state.global_step = step
    metrics = {"validation/accuracy": 0.9}
    book.state.eval_results.append((step, metrics))
    plausible.check_first(book, metrics)
    assert [(one["rule"], one["grade"]) for one in book.findings.to_json()] == [("R3.18", "for review")]


@pytest.mark.parametrize(("kept", "is_changed"), [("as they were", False), ("other ones", True), ("", False)])
def test_parameters_that_set_up_has_changed_when_a_trial_goes_on_end_it(book, kept, is_changed):
    """R3.18: a part of the optimizer state may train while it is loaded."""
    set_up = object.__new__(SetUp)
    set_up._book, set_up._is_new = book, False
    set_up._initialised = Message("initialised", {"digest": "of new parameters"})
    book.params_digest = kept
    if is_changed:
        with pytest.raises(Ended):
            set_up.check_initial("as they were")
    else:
        set_up.check_initial("as they were")
    found = [(one["rule"], one["grade"]) for one in book.findings.to_json()]
    assert found == [("R3.18", "forbidden")] * is_changed


class Bomb:
    def __reduce__(self):
        return os.mkdir, (os.environ["TEST_SIGN"],)


def test_a_pickle_that_lies_where_a_checkpoint_is_expected_is_not_loaded_by_a_referee(tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_SIGN", str(tmp_path / "loaded"))
    (tmp_path / "trial_1" / "checkpoint_7").parent.mkdir()
    (tmp_path / "trial_1" / "checkpoint_7").write_bytes(pickle.dumps({"version": 1, "bomb": Bomb()}))
    with pytest.raises(UsageError, match="running what it says"):
        checkpoint.find(tmp_path / "trial_1", runs_nothing=True)
    assert not (tmp_path / "loaded").exists()


def test_a_trainee_on_a_gpu_that_says_that_it_has_none_is_not_measured_by_processors(book):
    book.config = dataclasses.replace(book.config, device="cpu")
    assert not book.has_accelerator
    book.of_processes = {"evaluator": {"device": "1 x NVIDIA H200"}}
    assert book.has_accelerator
    book.of_processes = {"evaluator": {"device": "cpu (2 cores)"}}
    assert not book.has_accelerator
