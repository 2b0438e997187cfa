"""The parts of the referee, each for itself, without a framework."""

import json
import os
import socket
import struct
import subprocess
import sys
import time

import numpy as np
import pytest

from algoperf.referee import allowance, channel, cpu_time, parcel
from algoperf.referee.allowance import Account, Effort, Speed
from algoperf.referee.channel import Channel, Closed
from algoperf.referee.findings import FOR_REVIEW, FORBIDDEN, MAX_EACH, Findings
from algoperf.run import shown


@pytest.fixture
def ends():
    """Both ends of a connection."""
    both = [Channel(end) for end in socket.socketpair()]
    yield both
    for one in both:
        one.close()


def test_a_message_arrives_with_its_fields_its_blob_and_its_files(ends, tmp_path):
    (tmp_path / "note").write_text("read me")
    with open(tmp_path / "note") as file:
        ends[0].send("one", value=1.5, nothing=None, blob=b"\x00\xff")
        ends[0].send("two", files=(file.fileno(),))
    first, second = ends[1].receive(), ends[1].receive()
    assert (first.kind, first.fields, first.blob) == ("one", {"value": 1.5, "nothing": None}, b"\x00\xff")
    assert second.kind == "two"
    with open(second.files[0]) as file:
        assert file.read() == "read me"


def test_nothing_is_received_before_it_is_whole(ends):
    text = json.dumps({"kind": "late"}).encode()
    data = channel.HEAD.pack(len(text), 0, 0) + text
    ends[0]._socket.sendall(data[:-1])
    assert not ends[1].has_message()
    assert ends[1].receive(time.monotonic() + 0.01) is None
    ends[0]._socket.sendall(data[-1:])
    assert ends[1].receive().kind == "late"


@pytest.mark.parametrize(
    "data",
    [
        channel.HEAD.pack(3, 0, 0) + b"abc",
        channel.HEAD.pack(2, 0, 0) + b"[]",
        channel.HEAD.pack(2, 0, 0) + b"{}",
        channel.HEAD.pack(10, 0, 0) + b'{"kind":1}',
        channel.HEAD.pack(2**31, 0, 0),
        channel.HEAD.pack(12, 0, 2) + b'{"kind":"a"}',
        struct.pack("!III", 100_000, 0, 0) + b"[" * 100_000,
    ],
)
def test_what_is_no_message_closes_the_channel(ends, data):
    ends[0]._socket.sendall(data)
    with pytest.raises(Closed):
        ends[1].receive(time.monotonic() + 1)


def test_what_was_said_before_the_end_is_heard(ends):
    ends[0].send("refused", error="why")
    ends[0].close()
    assert ends[1].has_message()
    assert ends[1].receive().kind == "refused"
    assert ends[1].has_message()
    with pytest.raises(channel.Gone):
        ends[1].receive()


def test_the_end_of_the_other_side_is_said(ends):
    ends[0].close()
    with pytest.raises(Closed, match="ended"):
        ends[1].receive()


@pytest.mark.parametrize("value", [None, "1", True, -1, 1.5])
def test_a_step_that_is_none_closes_the_channel(ends, value):
    ends[0].send("done", step=value)
    with pytest.raises(Closed, match=r"no .*number 'step'"):
        ends[1].receive().whole("step")


def test_arrays_pass_through_a_parcel_bit_for_bit():
    arrays = {
        "w": np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32),
        "n": np.array(7),
        "odd": np.array([np.nan, -0.0], np.float64),
        "empty": np.zeros((0, 4), np.float32),
    }
    layout = json.loads(json.dumps(parcel.layout_of(arrays)))
    file = parcel.anonymous_file("test")
    one, other = parcel.Parcel(file, layout), parcel.Parcel(os.dup(file), layout)
    one.write(arrays)
    found = other.read()
    assert list(found) == list(arrays)
    assert all(found[name].tobytes() == array.tobytes() for name, array in arrays.items())
    assert parcel.digest(found) == parcel.digest(arrays)
    found["w"][0, 0] += 1
    assert parcel.digest(found) != parcel.digest(arrays)
    assert parcel.digest(other.read()) == parcel.digest(arrays)


def test_arrays_of_another_shape_are_no_parcel():
    layout = parcel.layout_of({"w": np.zeros((2, 3))})
    with pytest.raises(ValueError, match="shape"):
        parcel.Parcel(parcel.anonymous_file("test"), layout).write({"w": np.zeros((3, 2))})


def test_holes_of_a_file_are_no_bytes_that_were_written():
    file = parcel.anonymous_file("test")
    os.ftruncate(file, 1 << 30)
    os.write(file, b"x" * 5000)
    assert 5000 <= parcel.written_bytes(file) < 100_000
    os.close(file)


def test_the_referee_imports_no_framework():
    code = (
        "import sys; from algoperf.referee import start; from algoperf import registry; "
        "from algoperf.data import locate; "
        "locate.ready_folder(registry.get('digits'), None); registry.data_module(registry.get('digits')); "
        "print({'jax', 'torch', 'flax'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


SPEED = Speed(
    weights_sec=0.2,
    weights_cpu_sec=0.1,
    weights_bytes=10**8,
    checkpoint_sec=0.4,
    checkpoint_cpu_sec=0.3,
    checkpoint_bytes=10**8,
)


def test_a_transfer_is_allowed_what_its_size_takes():
    period = 0.5
    alone, same, three = (allowance.transfer(SPEED, size * 10**8, period) for size in (0, 1, 3))
    extra, factor = allowance.TRANSFER_PERIODS * period, allowance.TRANSFER_FACTOR
    np.testing.assert_allclose([alone.wall_sec, alone.cpu_sec], [factor * 0.2 + extra, factor * 0.1 + extra])
    for transfer, times in ((same, 1), (three, 3)):
        more = transfer.minus(alone)
        np.testing.assert_allclose(
            [more.wall_sec, more.cpu_sec], [factor * 0.4 * times, factor * 0.3 * times]
        )


def test_each_of_a_group_may_use_processor_time():
    one, two = (allowance.transfer(SPEED, 10**8, 0.0, num_processes=count) for count in (1, 2))
    np.testing.assert_allclose([two.wall_sec, two.cpu_sec], [2 * one.wall_sec, 4 * one.cpu_sec])
    one, two = (allowance.set_up([Effort(4, 3)], num_processes=count) for count in (1, 2))
    np.testing.assert_allclose([two.wall_sec, two.cpu_sec], [one.wall_sec, 2 * one.cpu_sec])


ALLOWED = Effort(wall_sec=1.0, cpu_sec=1.0)


@pytest.mark.parametrize(
    ("used", "charged", "on_an_accelerator"),
    [
        pytest.param(Effort(0.9, 0.9), 0, 0, id="within what is allowed"),
        pytest.param(Effort(3.0, 3.0), 2, 2, id="computes for longer"),
        pytest.param(Effort(3.0, 1.0), 0, 2, id="waits, and not for a processor"),
        pytest.param(Effort(3.0, 1.3, waited_sec=1.9), 0.1, 0.1, id="waits for a processor"),
        pytest.param(Effort(3.0, 5.8, waited_sec=1.9), 1.9, 1.9, id="keeps itself waiting, with threads"),
        pytest.param(Effort(1.6, 3.0), 0.6, 0.6, id="computes on all processors"),
    ],
)
def test_what_goes_beyond_an_allowance_is_charged_and_a_busy_machine_is_not(
    used, charged, on_an_accelerator, monkeypatch
):
    monkeypatch.setattr(allowance.machine, "num_cores", lambda: 2)
    np.testing.assert_allclose(allowance.beyond(ALLOWED, used), charged, atol=1e-12)
    found = allowance.beyond(ALLOWED, used, has_accelerator=True)
    np.testing.assert_allclose(found, on_an_accelerator, atol=1e-12)


def test_a_set_up_is_allowed_what_its_parts_take_on_a_machine_of_its_own(monkeypatch):
    monkeypatch.setattr(allowance.machine, "num_cores", lambda: 2)
    busy = [Effort(9.0, 3.0, waited_sec=5.0), Effort(2.0, 1.0, waited_sec=1.0)]
    free = [Effort(4.0, 3.0), Effort(1.0, 1.0)]
    allowed = allowance.set_up(free)
    assert allowance.set_up(busy) == allowed
    factor, extra = allowance.SET_UP_FACTOR, allowance.SET_UP_SEC
    np.testing.assert_allclose([allowed.wall_sec, allowed.cpu_sec], [5 * factor + extra, 4 * factor + extra])


def test_what_was_allowed_and_not_used_is_not_saved_up():
    account = Account()
    for used in (0.2, 1.5):
        account.add(ALLOWED, Effort(used, used), allowance.beyond(ALLOWED, Effort(used, used)))
    np.testing.assert_allclose((account.allowed_sec, account.used_sec, account.charged_sec), (2, 1.7, 0.5))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's own clocks")
def test_processor_time_of_another_process_is_counted_finely_and_sleep_is_none():
    code = (
        "import time; end = time.process_time() + 0.05\n"
        "while time.process_time() < end: pass\n"
        "print(time.process_time(), flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE, text=True) as process:
        said = float(process.stdout.readline())
        found = cpu_time.of_process(process.pid)
        time.sleep(0.05)
        later = cpu_time.of_process(process.pid)
        assert said <= found <= later < said + 0.02
        assert cpu_time.waited_sec(process.pid) >= 0
        process.kill()
    assert cpu_time.of_process(process.pid) is None
    assert cpu_time.waited_sec(process.pid) == 0


def test_many_findings_of_a_kind_are_counted():
    findings = Findings()
    for step in range(MAX_EACH + 3):
        findings.add("R3.19", FORBIDDEN, step, "ran")
    findings.add("R3.19", FOR_REVIEW, 99, "left a process")
    found = findings.to_json()
    assert len(found) == MAX_EACH + 1
    assert found[MAX_EACH - 1]["more"] == 3
    assert Findings(found).to_json() == found


def test_a_submission_that_asks_for_test_metrics_is_told_the_rule_r3_5():
    ((step, metrics),) = shown.of([(3, {"validation/loss": 1.0, "test/loss": 2.0, "train/loss": 3.0})])
    assert (step, dict(metrics)) == (3, {"validation/loss": 1.0, "train/loss": 3.0})
    for ask in (metrics.__getitem__, metrics.get):
        with pytest.raises(KeyError, match=r"R3\.5"):
            ask("test/loss")
    with pytest.raises(KeyError, match=r"^'validation/bleu'$"):
        metrics["validation/bleu"]
    assert metrics.get("validation/bleu", 4) == 4
    assert "test/loss" not in metrics
