"""The doctor: what it says of pretended machines, what it asks for, and its exit codes."""

import json
import os
import subprocess

import pytest

from algoperf import frameworks, host_limits
from algoperf.confinement import means
from algoperf.confinement.means import Finding
from algoperf.doctor import (
    abilities,
    asked,
    command,
    confined,
    data_sets,
    devices,
    framework_probe,
    host,
    report,
    software,
)
from algoperf.doctor.data_sets import Condition, DataSet
from algoperf.doctor.devices import Gpus
from algoperf.doctor.line import Line, Mark
from algoperf.doctor.software import Looked, State
from algoperf.spec import UsageError

ON_CPU = Looked(platform="cpu", device="cpu (2 cores)", import_sec=1.0, peak_per_sec=100e9)
ON_GPU = Looked(platform="gpu", device="1 x H100", cuda="13.0", import_sec=1.0, peak_per_sec=7e14)
GPU = Gpus(num_cards=1, driver="580.65.06", files=("/dev/nvidia0",), names=("NVIDIA H100",))
HELD = [Finding(name, True, "so it is") for name in means.STOPS]
MINI = DataSet(name="wmt_mini", is_mini=True, workloads=(), folder=None, condition=Condition.ON_FIRST_USE)


def state(name="pytorch", looked=ON_CPU, **fields):
    return State(framework=frameworks.get(name), looked=looked, versions={"torch": "2.13.0"}, **fields)


def marks(lines):
    return [line.mark for line in lines]


# ---- what was asked --------------------------------------------------------------------------------------------------


STATES, NO_GPUS = (state(),), Gpus()


def answers(words, states=STATES, gpus=NO_GPUS, sets=(MINI,), findings=HELD):
    """Name -> the lines about it."""
    found = {}
    for line in asked.lines(asked.wanted(words), states, gpus, sets, findings):
        found.setdefault(line.name, []).append(line)
    return found


def test_a_word_that_means_nothing_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="the nearest is 'wmt_mini'"):
        asked.wanted(["wmt_mni"])


def test_an_alias_and_a_suite_stand_for_a_framework_and_its_workloads():
    found = asked.wanted(["torch", "demo", "ray", "confinement"])
    assert found.frameworks == ("pytorch",)
    assert found.workloads == ("digits",)
    assert found.engines == ("ray",)
    assert found.confinement
    assert not found.gpu


def test_what_works_is_said_so():
    found = answers(["wmt_mini", "torch", "local", "confinement"])
    assert {line.mark for lines in found.values() for line in lines} == {Mark.OK}


def test_a_framework_that_is_not_installed_fails_with_the_command_that_installs_it():
    (line,) = answers(["jax"], [state("jax", None, missing=("jax",))])["jax"]
    assert line.mark is Mark.FAIL
    assert line.next_step == "pip install 'algoperf[jax]'"


def test_a_framework_that_cannot_be_imported_fails_with_its_own_words():
    (line,) = answers(["torch"], [state(looked=Looked(error="OSError: libcudart.so.13"))])["pytorch"]
    assert line.mark is Mark.FAIL
    assert "libcudart.so.13" in line.words


def test_a_full_size_workload_without_data_and_gpu_fails_twice_and_names_its_twin():
    missing = DataSet(
        name="wmt",
        is_mini=False,
        workloads=(),
        folder=None,
        condition=Condition.MISSING,
        next_step="dataset_setup",
    )
    slow, data = answers(["wmt"], sets=[missing])["wmt"]
    assert "wmt_mini" in slow.next_step
    assert data.next_step == "dataset_setup"


def test_a_gpu_that_was_asked_for_fails_with_the_reason_why_it_is_not_used():
    (line,) = answers(["torch", "gpu"], gpus=GPU)["gpu in pytorch"]
    assert line.mark is Mark.FAIL
    assert "processors alone" in line.words
    (line,) = answers(["torch", "gpu"], [state(looked=ON_GPU)], GPU)["gpu in pytorch"]
    assert line.mark is Mark.OK


def test_missing_means_of_confinement_fail_by_name():
    broken = [Finding(means.NETWORK, False, "no network namespace"), *HELD[1:]]
    (line,) = answers(["confinement"], findings=broken)["confinement"]
    assert line.mark is Mark.FAIL
    assert means.NETWORK in line.words
    assert marks(confined.lines(broken)) == [Mark.OK, Mark.WARN]


def test_an_engine_without_its_package_fails(monkeypatch):
    monkeypatch.setitem(asked.ENGINES, "ray", asked.Engine(package="no_such_package", extra="ray"))
    (line,) = answers(["ray"])["ray"]
    assert (line.mark, line.next_step) == (Mark.FAIL, "pip install 'algoperf[ray]'")


def test_an_engine_without_its_programs_fails(monkeypatch):
    monkeypatch.setitem(asked.ENGINES, "slurm", asked.Engine(programs=("no_such_program",)))
    assert "no no_such_program" in answers(["slurm"])["slurm"][0].words


# ---- devices ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gpus", "environment", "words"),
    [
        (Gpus(num_cards=1), {}, "driver is not loaded"),
        (Gpus(num_cards=1, driver="580.1"), {}, "no device files"),
        (Gpus(driver="580.1", files=("/dev/nvidia0",), forbidden=("/dev/nvidia0",)), {}, "no permission"),
        (GPU, {"CUDA_VISIBLE_DEVICES": ""}, "hides them"),
        (GPU, {"CUDA_VISIBLE_DEVICES": "-1"}, "hides them"),
        (GPU, {"CUDA_VISIBLE_DEVICES": "3"}, "names none of the 1"),
        (GPU, {"NVIDIA_VISIBLE_DEVICES": "void"}, "in this container"),
        (Gpus(driver="580.1", files=("/dev/nvidia0",), has_mig=True), {}, "no instance is made"),
    ],
)
def test_what_keeps_all_frameworks_from_a_gpu_is_named(gpus, environment, words):
    (line,) = devices.lines(gpus, [state()], environment)
    assert line.mark is Mark.WARN
    assert words in line.words
    assert line.next_step


def test_a_build_for_a_newer_cuda_than_the_driver_runs_is_named():
    old = Gpus(num_cards=1, driver="550.54.14", files=("/dev/nvidia0",))
    looked = Looked(platform="cpu", cuda="13.0")
    _, line = devices.lines(old, [state(looked=looked)], {})
    assert "CUDA 13.0, which needs driver 580 or newer, and 550.54.14 is here" in line.words


def test_a_gpu_that_is_used_is_ok_and_none_is_no_problem():
    assert marks(devices.lines(GPU, [state(looked=ON_GPU)], {})) == [Mark.OK]
    assert marks(devices.lines(Gpus(), [state()], {})) == [Mark.OK]


def test_gpus_are_found_in_the_files_of_the_system(tmp_path):
    card, dev = tmp_path / "sys/bus/pci/devices/0000:01:00.0", tmp_path / "dev"
    version = tmp_path / "proc/driver/nvidia/version"
    for folder in (card, dev, version.parent):
        folder.mkdir(parents=True)
    (card / "vendor").write_text("0x10de\n")
    (card / "class").write_text("0x030200\n")
    version.write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22\nGCC version: 12\n"
    )
    for name in ("nvidia0", "nvidiactl"):
        (dev / name).touch()
    found = devices.found(tmp_path)
    assert (found.num_cards, found.driver, len(found.files), found.forbidden) == (1, "550.54.14", 1, ())


# ---- control groups --------------------------------------------------------------------------------------------------


def file_system(root, cgroup, mount, files):
    for path, text in {"proc/self/cgroup": cgroup, "proc/self/mountinfo": mount, **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def test_limits_of_control_groups_of_version_2_count_wherever_above_they_are(tmp_path):
    root = file_system(
        tmp_path,
        "0::/box/job\n",
        "30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
        {
            "sys/fs/cgroup/box/memory.max": "1000000\n",
            "sys/fs/cgroup/box/memory.current": "700000\n",
            "sys/fs/cgroup/box/memory.stat": "anon 1\ninactive_file 200000\n",
            "sys/fs/cgroup/box/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/box/job/memory.max": "max\n",
        },
    )
    found = host_limits.memory(root)
    assert (found.total, found.available, found.is_limited) == (1_000_000, 500_000, True)
    assert host_limits.cpu_quota(root) == 1.5


def test_limits_of_control_groups_of_version_1_count(tmp_path):
    root = file_system(
        tmp_path,
        "4:memory:/box\n1:cpu,cpuacct:/box\n",
        "31 30 0:1 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "32 30 0:2 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n",
        {
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/memory/box/memory.limit_in_bytes": "1000000\n",
            "sys/fs/cgroup/memory/box/memory.usage_in_bytes": "400000\n",
            "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000\n",
        },
    )
    assert host_limits.memory(root).available == 600_000
    assert host_limits.cpu_quota(root) == 0.5


def test_without_control_groups_the_machine_is_all_there_is(tmp_path):
    assert not host_limits.memory(tmp_path).is_limited
    assert host_limits.cpu_quota(tmp_path) is None


# ---- data, software, abilities ---------------------------------------------------------------------------------------


def test_data_sets_are_ready_missing_or_incomplete(tmp_path):
    (tmp_path / "ogbg" / "raw").mkdir(parents=True)
    found = {one.name: one for one in data_sets.found(str(tmp_path))}
    assert found["digits"].condition is Condition.READY
    assert found["wmt_mini"].condition is Condition.ON_FIRST_USE
    assert found["ogbg"].condition is Condition.INCOMPLETE
    assert found["wmt"].condition is Condition.MISSING
    assert found["wmt"].next_step.startswith("python datasets/dataset_setup.py --dataset=wmt ")
    assert "librispeech_conformer" in found["librispeech"].workloads
    assert Mark.FAIL not in marks(data_sets.lines(found.values()))


def test_a_manifest_that_is_damaged_is_told_with_what_mends_it(tmp_path):
    (tmp_path / "ogbg").mkdir()
    (tmp_path / "ogbg" / "manifest.json").write_text("{")
    found = {one.name: one for one in data_sets.found(str(tmp_path))}
    assert found["ogbg"].condition is Condition.DAMAGED
    assert "Delete it" in found["ogbg"].next_step


def test_a_version_out_of_range_is_a_warning(monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda name: "1.0")
    monkeypatch.setattr(
        "importlib.metadata.requires", lambda name: ["torch>=2; extra == 'torch'", "numpy>=0.5"]
    )
    monkeypatch.setattr(software, "look", lambda name: ON_CPU)
    found = software._state(frameworks.get("pytorch"))
    assert found.out_of_range == ("torch 1.0, not >=2",)
    assert marks(software.lines([found])) == [Mark.WARN]


def test_packages_that_are_always_needed_are_looked_at(monkeypatch):
    monkeypatch.setattr("importlib.metadata.requires", lambda name: ["no_such_package>=1"])
    (line,) = software.lines([])
    assert (line.mark, line.words) == (Mark.FAIL, "no_such_package is not installed")


@pytest.mark.parametrize(
    ("done", "words"),
    [
        (subprocess.CompletedProcess((), -11, "", ""), "signal 11"),
        (subprocess.CompletedProcess((), 1, "", "a\nImportError: b\n"), "ImportError: b"),
    ],
)
def test_a_framework_that_ends_its_process_is_told_as_an_error(monkeypatch, done, words):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    assert words in software.look("pytorch").error


def test_a_framework_that_cannot_be_made_says_why(monkeypatch, capsys):
    monkeypatch.setattr(framework_probe.backends, "get_backend", lambda name: 1 / 0)
    assert framework_probe.main(["pytorch"]) == 0
    assert json.loads(capsys.readouterr().out) == {"error": "ZeroDivisionError: division by zero"}


def test_a_slow_machine_is_warned_of_and_one_without_frameworks_runs_nothing():
    slow = Looked(platform="cpu", device="cpu", peak_per_sec=1e9)
    assert marks(abilities.lines([state(looked=slow)]))[0] is Mark.WARN
    (line,) = abilities.lines([state("jax", None, missing=("jax",))])
    assert (line.mark, line.next_step) == (Mark.FAIL, "pip install 'algoperf[jax]'")


def test_the_longest_time_of_a_suite_is_that_of_its_budgets():
    one = abilities.plan("demo", "external")
    assert (one.num_workloads, one.num_trials, one.budget_sec) == (1, 2, 60.0)


# ---- the machine, the command ----------------------------------------------------------------------------------------


def test_a_quota_below_the_cores_is_a_warning(monkeypatch):
    monkeypatch.setattr(host_limits, "cpu_quota", lambda: 0.5)
    assert host._cores().mark is Mark.WARN


def test_another_number_of_threads_than_cores_is_a_warning(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1000")
    assert marks(host._threads()) == [Mark.WARN]


@pytest.mark.skipif(os.geteuid() == 0 and not os.path.exists("/proc/1"), reason="needs /proc")
def test_results_that_cannot_be_written_fail_and_data_only_warn():
    assert marks(host._disk("results", "/proc/1/here", 1)) == [Mark.FAIL]
    assert marks(host._disk("data", "/proc/1/here", 1)) == [Mark.WARN]


@pytest.fixture
def quick(monkeypatch):
    """The command without what takes time."""
    monkeypatch.setattr(software, "states", lambda: [state()])
    monkeypatch.setattr(confined, "found", lambda: HELD)
    monkeypatch.setattr(host, "WATCH_SEC", 0.0)
    monkeypatch.setattr(devices, "found", lambda: Gpus())


def test_the_command_fits_a_screen_and_says_what_it_comes_to(quick, tmp_path, capsys):
    flags = [f"--experiment_dir={tmp_path}", f"--data_dir={tmp_path}"]
    assert command.main(["--for=wmt_mini,torch", *flags]) == 0
    told = capsys.readouterr().out
    assert told.splitlines()[-1].startswith("What was asked will work.")
    assert len(told.splitlines()) < 60
    assert command.main(["--for=wmt", *flags]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "Will not work: wmt."
    assert command.main(["--for=wtm", *flags]) == 2
    assert "part of --for" in capsys.readouterr().err


def test_the_command_speaks_json(quick, tmp_path, capsys):
    assert command.main(["--json", "--for=wmt", f"--data_dir={tmp_path}"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["exit_code"] == 1
    assert told["data"]["wmt"]["condition"] == "missing"
    assert {"group", "name", "mark", "words", "next_step"} == set(told["lines"][0])


def test_marks_names_and_words_stand_in_columns():
    lines = [
        Line(group="data", name="b", mark=Mark.OK, words="c"),
        Line(group="machine", name="long", mark=Mark.FAIL, words="d", next_step="e"),
    ]
    assert report.text(lines, 80).splitlines() == [
        "machine",
        "  FAIL  long  d",
        "              -> e",
        "data",
        "  ok    b     c",
    ]
