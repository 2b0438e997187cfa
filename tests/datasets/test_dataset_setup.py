import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def set_up(*flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", str(ROOT / "datasets" / "dataset_setup.py"), *flags]
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=120
    )


def test_an_unknown_data_set_is_one_clear_line():
    result = set_up("--dataset=wtm")
    assert result.returncode == 2
    assert result.stderr.startswith("error: No data set is called 'wtm'; the nearest is 'wmt'. Choose from ")
    assert result.stderr.count("\n") == 1


def test_a_data_set_without_files_needs_nothing(tmp_path):
    result = set_up("--dataset=digits", f"--data_dir={tmp_path}")
    assert (result.returncode, result.stdout) == (0, "digits needs no files.\n")
    assert list(tmp_path.iterdir()) == []


def test_without_network_the_download_ends_in_one_clear_line(tmp_path):
    nowhere = "http://127.0.0.1:9"  # The port of 'discard': nothing answers.
    result = set_up("--dataset=wmt", f"--data_dir={tmp_path}", "--noprogress", http_proxy=nowhere)
    assert result.returncode == 2
    assert "error: Cannot download http://www.statmt.org/" in result.stderr
    assert result.stderr.count("\n") == 1


def test_data_that_were_collected_have_no_other_seed(tmp_path):
    result = set_up("--dataset=wmt", "--data_seed=17", f"--data_dir={tmp_path}")
    assert result.returncode == 2
    assert result.stderr.startswith(
        "error: --data_seed makes the data of a mini workload anew; 'wmt' has data that"
    )
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
