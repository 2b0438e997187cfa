"""Flags of runs on several hosts, what process 0 decides for all, and when processes compare what is due."""

import itertools
import os
import signal
import threading
import types

import pytest
import two_devices
from harness import SGD_FILES, command, finish, process

from algoperf import backends
from algoperf.run import due, processes
from algoperf.spec import Interrupted, UsageError


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"coordinator": "node0"}, "must be host:port of host 0"),
        ({"coordinator": "node0:http"}, "must be host:port of host 0"),
        ({"coordinator": "node0:1234"}, "needs --num_hosts and --host_id"),
        ({"coordinator": "node0:1234", "num_hosts": 2, "host_id": 2}, "--host_id=2 must be one of 0 to 1"),
        ({"coordinator": "node0:1234", "num_hosts": 2, "host_id": -1}, "--host_id=-1 must be one of 0 to 1"),
        ({"coordinator": "auto", "num_hosts": 2}, "leave out --num_hosts and --host_id"),
        ({"coordinator": "auto", "hosts_timeout_sec": 0}, "--hosts_timeout_sec must be at least 1, got 0"),
        ({"host_id": 1}, "--host_id=1 needs --coordinator=<host:port of host 0>"),
    ],
)
def test_flags_of_hosts_that_do_not_fit_together_are_refused(tmp_path, capsys, given, message):
    run = {"workload": "digits", "submission": str(SGD_FILES["jax"]), "framework": "jax"}
    assert command(tmp_path, **run, **given) == 2
    assert message in capsys.readouterr().err


def test_pytorch_refuses_a_coordinator_and_names_torchrun(tmp_path, capsys):
    hosts = {"coordinator": "node0:1234", "num_hosts": 2, "host_id": 0}
    run = {"workload": "digits", "submission": str(SGD_FILES["pytorch"]), "framework": "pytorch"}
    assert command(tmp_path, **run, **hosts) == 2
    assert "torchrun --nnodes=<hosts>" in capsys.readouterr().err


def hosts(port, *numbers, timeout_sec=60, file=SGD_FILES["jax"]):
    """(exit code, stderr) of a run of `digits` in JAX on hosts, each given as (host_id, num_hosts, other flags ...)."""
    run = ["--workload=digits", f"--submission={file}", "--framework=jax", "--quiet"]
    run += [f"--coordinator=localhost:{port}", f"--hosts_timeout_sec={timeout_sec}"]
    started = [
        process(*run, f"--host_id={host}", f"--num_hosts={count}", *flags) for host, count, *flags in numbers
    ]
    return [(code, err) for code, _, err in map(finish, started)]


def test_hosts_that_were_told_different_numbers_are_refused():
    for code, err in hosts(two_devices.free_port(), (0, 2), (1, 3)):
        assert code == 2, err
        assert "with --num_hosts=" in err


def test_a_host_that_was_started_with_another_seed_ends_all(tmp_path):
    folder = f"--experiment_dir={tmp_path / 'experiments'}"
    ends = hosts(two_devices.free_port(), (0, 2, folder), (1, 2, folder, "--rng_seed=7"))
    assert [code for code, _ in ends] == [2, 2], ends
    assert any("Process 1 was started with another" in err for _, err in ends)
    assert not (tmp_path / "experiments").exists()


def test_a_submission_that_can_be_imported_on_one_host_only_ends_all(tmp_path):
    file = tmp_path / "submission_jax.py"
    file.write_text(
        SGD_FILES["jax"].read_text() + "\nimport sys\nassert '--host_id=1' not in sys.argv, 'not here'\n"
    )
    space = SGD_FILES["jax"].with_name("tuning_search_space.json")
    (tmp_path / space.name).write_text(space.read_text())
    folder = f"--experiment_dir={tmp_path / 'experiments'}"
    for code, err in hosts(two_devices.free_port(), (0, 2, folder), (1, 2, folder), file=file):
        assert code == 2, err
        assert "failed: AssertionError: not here" in err
    assert not (tmp_path / "experiments").exists()


def test_a_host_that_waits_in_vain_ends_with_the_next_step():
    ((code, err),) = hosts(two_devices.free_port(), (0, 2), timeout_sec=2)
    assert code == 2, err
    assert "error: Host 0 of 2 did not meet the others" in err
    assert "Start the same command on every host" in err


class Shared:
    """Exchanges of `count` threads that stand for processes."""

    def __init__(self, count):
        self.count, self.reason, self.gone = count, None, 0
        self.values, self.barrier = [None] * count, threading.Barrier(count)

    def backend(self, index):
        exchange = types.SimpleNamespace(
            broadcast=lambda value: self._all(index, value)[0],
            maximum=lambda value: max(self._all(index, value)),
            gather=lambda value: self._all(index, value),
            announce_failure=self._announce,
            failure=lambda: self.reason,
            count_departed=lambda more=1: self.count,
        )
        backend = types.SimpleNamespace(process_index=index, num_processes=self.count, exchange=exchange)
        backend.maximum = exchange.maximum
        return backend

    def _all(self, index, value):
        self.barrier.wait(10)
        self.values[index] = value
        self.barrier.wait(10)
        return list(self.values)

    def _announce(self, reason):
        self.reason = self.reason or reason
        return self.reason

    def run(self, function):
        """[function(backend)] of all processes; exceptions are results."""
        found = [None] * self.count

        def call(index):
            try:
                found[index] = function(self.backend(index))
            except Exception as error:
                found[index] = error

        threads = [threading.Thread(target=call, args=(index,)) for index in range(self.count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        return found


def test_what_process_0_finds_counts_for_all():
    calls = []

    def make():
        calls.append(1)
        return "found"

    assert Shared(3).run(lambda backend: processes.from_first(backend, make)) == ["found"] * 3
    assert len(calls) == 1


def test_wrong_input_that_process_0_finds_is_an_error_on_all():
    def make():
        raise UsageError("another seed")

    errors = Shared(2).run(lambda backend: processes.from_first(backend, make))
    assert [(type(error), str(error)) for error in errors] == [(UsageError, "another seed")] * 2


@pytest.fixture
def exits(monkeypatch):
    """Exit codes with which processes would end."""
    codes = []
    monkeypatch.setattr(processes.os, "_exit", codes.append)
    monkeypatch.setattr(processes, "POLL_SEC", 0.01)
    return codes


def test_a_process_that_waits_ends_with_the_reason_of_the_one_that_failed(exits, capsys):
    shared = Shared(2)
    waiting = processes.FailureWatcher(shared.backend(0))
    recorded = []
    waiting.record = recorded.append
    with processes.watch_failures(shared.backend(1)):
        raise RuntimeError("out of luck")
    waiting._watch.join(10)
    assert exits == [1, 1]
    assert len(recorded) == 1
    assert recorded[0].startswith("process 1: Traceback")
    assert "error: process 1: RuntimeError: out of luck" in capsys.readouterr().err


def test_wrong_input_on_one_host_ends_all_and_is_told_once_by_it(exits, capsys):
    shared = Shared(2)
    for index in range(2):
        with processes.watch_failures(shared.backend(index)):
            raise UsageError("No prepared data here.")
    assert exits == [2, 2]
    assert capsys.readouterr().err.count("No prepared data here.") == 1


def test_wrong_input_on_one_host_ends_the_others_as_wrong_input_without_a_record(exits):
    shared = Shared(2)
    waiting = processes.FailureWatcher(shared.backend(0))
    recorded = []
    waiting.record = recorded.append
    with processes.watch_failures(shared.backend(1)):
        raise UsageError("No prepared data here.")
    waiting._watch.join(10)
    assert exits == [2, 2]
    assert recorded == []


@pytest.mark.parametrize(("error", "code"), [(SystemExit(0), 1), (KeyboardInterrupt(), 130)], ids=repr)
def test_whatever_ends_one_process_ends_the_others(exits, error, code):
    shared = Shared(2)
    waiting = processes.FailureWatcher(shared.backend(1))
    with processes.watch_failures(shared.backend(0)):
        raise error
    waiting._watch.join(10)
    assert exits == [code, code]


def test_a_failure_of_process_0_itself_is_recorded(exits):
    recorded = []
    with processes.watch_failures(Shared(2).backend(0)) as failures:
        failures.record = recorded.append
        raise RuntimeError("out of luck")
    assert exits == [1]
    assert len(recorded) == 1
    assert "RuntimeError: out of luck" in recorded[0]


def test_a_launcher_that_ends_all_leaves_process_0_the_time_to_record_why(exits, monkeypatch):
    shared, events = Shared(2), []
    shared.reason = "process 1: out of luck"
    monkeypatch.setattr(processes, "POLL_SEC", 0.2)
    monkeypatch.setattr(processes.signal, "raise_signal", events.append)
    before = signal.getsignal(signal.SIGTERM)
    with processes.watch_failures(shared.backend(0)) as failures:
        failures.record = events.append
        os.kill(os.getpid(), signal.SIGTERM)
    assert events == ["process 1: out of luck", signal.SIGTERM]
    assert exits == [1]
    assert signal.getsignal(signal.SIGTERM) == before


def test_after_a_run_nothing_watches_and_signals_are_handled_as_before(exits):
    shared, before = Shared(2), signal.getsignal(signal.SIGTERM)
    with processes.watch_failures(shared.backend(0)) as failures:
        assert failures._watch.is_alive()
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
    failures._watch.join(10)
    assert not failures._watch.is_alive()
    assert exits == []


def test_process_0_ends_when_all_others_have_departed_or_too_much_time_has_passed(exits, monkeypatch):
    """The others may yet ask it, whose store it is, why the run has failed."""
    for departing, num_looks in (([1, 2, 3], 3), ([1, 1], None)):
        looks = iter(departing)
        seen = []

        def count_departed(more=1, looks=looks, seen=seen):
            seen.append(more)
            return next(looks, 1)

        monkeypatch.setattr(processes, "GRACE_PERIOD_SEC", 0.2 if num_looks is None else 60.0)
        exchange = types.SimpleNamespace(count_departed=count_departed)
        backend = types.SimpleNamespace(process_index=0, num_processes=3, exchange=exchange)
        processes.leave(backend, 1)
        assert seen[:2] == [1, 0], "it counts itself once"
        assert num_looks is None or len(seen) == num_looks
    assert exits == [1, 1]


def test_processes_that_were_started_with_other_settings_are_refused_by_all():
    def check(backend):
        settings = {"workload": "digits", "rng_seed": backend.process_index // 2}
        processes.check_same_settings(backend, settings)

    errors = Shared(3).run(check)
    assert [type(error) for error in errors] == [UsageError] * 3
    assert {str(error) for error in errors} == {
        "Process 2 was started with another rng_seed (1) than process 0 (0): start the same command, with the same "
        "files, on every host."
    }
    assert (
        Shared(2).run(lambda backend: processes.check_same_settings(backend, {"rng_seed": 0})) == [None] * 2
    )


def test_an_interruption_and_a_single_process_raise_as_ever():
    with pytest.raises(Interrupted), processes.watch_failures(Shared(2).backend(0)):
        raise Interrupted(15)
    with pytest.raises(KeyError), processes.watch_failures(Shared(1).backend(0)):
        raise KeyError("x")


def test_processes_compare_what_is_due_seldom_and_in_time():
    step_ns, due_ns = 10_000_000, 1_000_000_000  # 10 ms a step; something is due after 1 s, again and again.

    def steps_compared(backend):
        agreement, compared, overrun_ns, check_ns = due.Agreement(backend, 0), [], 0, due_ns
        clock_ns = (backend.process_index + 1) * 3_000_000  # Clocks differ.
        for step in itertools.count(1):
            clock_ns += step_ns
            if step > 500:
                return compared, overrun_ns
            if step < agreement.next_step:
                continue
            compared.append(step)
            wanted = due.PROGRESS_DUE if clock_ns >= check_ns else due.NOTHING_DUE
            if agreement.on(wanted, step, clock_ns, check_ns) == due.PROGRESS_DUE:
                overrun_ns = max(overrun_ns, clock_ns - check_ns)
                check_ns = clock_ns + due_ns

    first, second = Shared(2).run(steps_compared)
    assert first[0] == second[0], "the same steps on all processes"
    assert len(first[0]) < 100
    assert max(first[1], second[1]) <= 2 * step_ns


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, None),
        ({"XLA_FLAGS": "--xla_force_host_platform_device_count=1"}, None),
        ({"XLA_FLAGS": "--xla_a=1 --xla_force_host_platform_device_count=8"}, 4 + 2 * 8),
        ({"JAX_NUM_CPU_DEVICES": "2"}, 4 + 2 * 2),
        ({"JAX_NUM_CPU_DEVICES": "2", "PJRT_NPROC": "3"}, 3),
    ],
)
def test_devices_made_of_one_cpu_get_threads_to_wait_in(monkeypatch, given, wanted):
    monkeypatch.setattr("algoperf.machine.num_cores", lambda: 4)
    for name in ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES", "PJRT_NPROC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PJRT_NPROC", "")  # So that it is gone after the test.
    monkeypatch.delenv("PJRT_NPROC")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    backends.launch("jax").prepare()
    assert os.environ.get("PJRT_NPROC") == (None if wanted is None else str(wanted))
