"""What all entry scripts share: exit codes, and errors in one line."""

import signal

import pytest
from absl import flags

from algoperf import commands
from algoperf.spec import Interrupted, UsageError


def raising(error):
    def function():
        raise error

    return function


@pytest.mark.parametrize(
    ("function", "code"),
    [
        (lambda: None, 0),
        (lambda: 1, 1),
        (raising(UsageError("wrong")), 2),
        (raising(KeyboardInterrupt()), 130),
        (raising(Interrupted(signal.SIGINT)), 130),
        (raising(Interrupted(signal.SIGTERM)), 143),
    ],
)
def test_an_exit_code_says_how_a_command_ended(function, code):
    assert commands.exit_code_of(function) == code


def test_what_the_user_can_put_right_is_one_line_whatever_line_breaks_it_has(capsys):
    assert commands.exit_code_of(raising(UsageError("No  such\n    thing:\tuse another."))) == 2
    assert capsys.readouterr().err == "error: No such thing: use another.\n"


def test_a_bug_is_not_taken_for_wrong_input():
    with pytest.raises(ZeroDivisionError):
        commands.exit_code_of(lambda: 1 // 0)


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        (None, "--dataset is missing: give --dataset=<value>. A data set ('wmt', 'imagenet')"),
        ("--progress=maybe", "--progress must be true or false, got 'maybe'; see --help."),
        ("--data_dri=x", "Unknown command line flag 'data_dri'"),
    ],
)
def test_a_wrong_flag_is_told_in_words_of_its_kind(capsys, monkeypatch, argument, words):
    own = flags.FlagValues()
    flags.DEFINE_string("dataset", None, "A data set ('wmt', 'imagenet') ...", required=True, flag_values=own)
    flags.DEFINE_bool("progress", True, "Bars.", flag_values=own)
    monkeypatch.setattr(commands.flags, "FLAGS", own)
    with pytest.raises(SystemExit) as ended:
        commands._parsed(["script", *([] if argument is None else ["--dataset=wmt", argument])])
    assert ended.value.code == commands.EXIT_USAGE
    said = capsys.readouterr().err
    assert said.startswith(f"error: {words}")
    assert said.count("\n") == 1
