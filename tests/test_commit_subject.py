"""The hook that looks at the subjects of commits, as pre-commit calls it."""

import subprocess
import sys

import pytest
import yaml
from harness import ROOT

CONFIG = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
HOOKS = [hook for repo in CONFIG["repos"] for hook in repo["hooks"]]


def check(tmp_path, message):
    """(exit code, output) of the hook for a commit with this message."""
    [hook] = [hook for hook in HOOKS if hook.get("stages") == ["commit-msg"]]
    python, *arguments = hook["entry"].split()
    assert python == ".venv/bin/python"
    path = tmp_path / "COMMIT_EDITMSG"
    path.write_text(message, encoding="utf-8")
    command = [sys.executable, *arguments, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    "message",
    [
        "x" * 72,
        "é" * 72,
        f"scoring: read by column\n\n{'x' * 200}\n",
        f"# {'a comment ' * 20}\nscoring: read by column\n# {'another ' * 20}\n",
        f"\n\nscoring: read by column\n# ------------------------ >8 ------------------------\n{'x' * 200}",
        f"fixup! {'x' * 72}",
    ],
    ids=["72", "72 of two bytes", "long body", "comments", "verbose", "fixup"],
)
def test_subjects_of_up_to_72_characters_pass(tmp_path, message):
    assert check(tmp_path, message) == (0, "")


@pytest.mark.parametrize(
    "message",
    ["x" * 73, f"{'x' * 36}\n{'x' * 36}", f"{'x' * 73}\n\nbody"],
    ids=["73", "two lines without an empty one", "with a body"],
)
def test_longer_subjects_are_refused_with_their_length_and_what_to_do(tmp_path, message):
    code, out = check(tmp_path, message)
    assert code == 1
    assert "The subject has 73 characters, more than 72" in out
    assert "give the reasons in the body" in out


def test_one_command_installs_the_hooks_of_files_and_of_messages_and_each_runs_at_its_own_stage():
    assert CONFIG["default_install_hook_types"] == ["pre-commit", "commit-msg"]
    assert CONFIG["default_stages"] == ["pre-commit"], "those of files do not look at the message"
