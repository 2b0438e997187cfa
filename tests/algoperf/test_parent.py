"""Whoever starts a trial's process measures it by itself."""

import subprocess
import sys
import time

import pytest

from algoperf import records
from algoperf.run import parent

BUSY = (
    "import sys, time\nwhile time.process_time() < 0.3: pass\nopen(sys.argv[1], 'w').write('{}')\nsys.exit(3)"
)


@pytest.mark.parametrize("polls", [False, True])
def test_wall_and_processor_time_of_a_child_are_kept(tmp_path, polls):
    for number in range(2):
        meta = tmp_path / records.meta_data_file(number)
        with subprocess.Popen([sys.executable, "-I", "-S", "-c", BUSY, str(meta)]) as process:
            watched = parent.Watched(process, tmp_path)
            if polls:
                assert watched.poll() is None
                while (code := watched.poll()) is None:
                    time.sleep(0.01)
            else:
                code = watched.wait()
        watched.record()
        assert code == 3
    found = parent.read(tmp_path)
    assert [one["exit_code"] for one in found] == [3, 3]
    assert all(0.2 < one["cpu_sec"] <= one["wall_sec"] + 0.1 for one in found)


def test_a_process_that_left_no_records_is_not_kept(tmp_path):
    (tmp_path / records.meta_data_file(0)).write_text("{}")
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", ""]) as process:
        watched = parent.Watched(process, tmp_path)
        assert watched.wait() == 0
    watched.record()
    assert parent.read(tmp_path) is None
