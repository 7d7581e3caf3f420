"""Sessions whose one side does not read: what the other says counts all the same, and takes no room without bound.
RFC 6455 5.5, docs/sessions.md."""

import contextlib
import json
import select
import time
from pathlib import Path

import pytest

from rig.client import wait_until
from rig.http2 import ENABLE_PUSH, Http2
from rig.sessions import join, shell
from rig.websocket import KEY, REQUEST, frame

CLOSE = frame(b"\x03\xe8", opcode=8, key=KEY)
PATIENT = "timeout send=600s"


def upgrade(connection, fields: bytes = b""):
    connection.send(REQUEST.replace(b"/chat", b"/")[:-2] + fields + b"\r\n")
    assert connection.response().status == 101
    return connection


def await_standstill(marked):
    """Waits until none of the programs writes any more."""
    def written():
        counts = {}
        for pid in marked.pids():
            with contextlib.suppress(OSError):
                counts[pid] = Path(f"/proc/{pid}/io").read_text().splitlines()[1]
        return counts

    def stands():
        before = written()
        time.sleep(0.3)
        return before and before == written()
    wait_until(stands, within=40, what="programs that wait")


@pytest.mark.parametrize("how", ["close", "end"])
def test_a_client_that_takes_nothing_is_heard_all_the_same(session, marked, tmp_path, how):
    """A Close, or the end of the connection, does not wait behind output that the client does not take; nor do pings and
    messages before it."""
    done = tmp_path / "done"
    gateway = session(*shell(f"yes & read line; echo $line > {done}.new; mv {done}.new {done}; wait"), block=PATIENT,
                      options="end=100ms kill=300ms")
    with gateway.connect(receive_buffer=4096) as connection:
        upgrade(connection)
        await_standstill(marked)
        connection.send(frame(b"there?", opcode=9, key=KEY) * 100 + frame(b"hello", key=KEY))
        wait_until(done.exists, within=40, what="the message at the program")
        assert done.read_text() == "hello\n"
        if how == "close":
            connection.send(CLOSE)
        else:
            connection.finish_sending()
        marked.await_gone()


def test_a_close_over_http2_waits_for_no_window(session, marked):
    """The same where the stream's window is used up, and the connection's."""
    gateway = session("yes", block=PATIENT, options="end=100ms kill=300ms")
    with Http2(gateway.address, (ENABLE_PUSH, 0), credit=False) as client:
        stream = client.head([(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/"),
                              (":authority", "test"), ("sec-websocket-version", "13")], end=False)
        answer = client.answers[stream]
        client.until(lambda: len(answer.body) == 65535)
        client.body(stream, CLOSE, end=False)
        marked.await_gone()


def test_pings_of_who_takes_nothing_are_answered_within_bounds(session, marked):
    """RFC 6455 5.5.2: a pong for each ping would be memory for whoever sends pings and reads nothing."""
    gateway = session("yes", block=PATIENT, options="end=100ms kill=300ms")
    with gateway.connect(receive_buffer=4096) as connection:
        upgrade(connection)
        await_standstill(marked)
        before = gateway.vitals.resident
        piece, sent = frame(b"x" * 125, opcode=9, key=KEY) * 1000, 0
        connection.socket.setblocking(False)
        while sent < 64 << 20 and select.select([], [connection.socket], [], 1)[1]:
            with contextlib.suppress(BlockingIOError):
                sent += connection.socket.send(piece)
        assert gateway.vitals.resident - before < 8 << 20
        connection.reset()
    marked.await_gone()


@pytest.mark.parametrize("option", ["life=1s", "idle=2s"])
def test_times_end_a_session_whatever_the_client_takes(session, marked, option):
    """docs/sessions.md: `life=` and `idle=` count for who takes nothing as well."""
    gateway = session("yes", block=PATIENT, options=f"{option} end=100ms kill=300ms")
    with gateway.connect(receive_buffer=4096) as connection:
        upgrade(connection)
        marked.await_gone()


def test_who_was_not_read_is_asked_before_it_is_given_up(session, tmp_path):
    """`pong=` counts from the ping, and not from when the client was last heard, which was before its program stopped reading."""
    go = tmp_path / "go"
    gateway = session(*shell(f"while ! test -e {go}; do sleep 0.1; done; head -c 400000 > /dev/null; cat"),
                      options="ping=1s pong=5s")
    with join(gateway, ping_interval=None) as client:
        # More than a pipe and a window hold, so that nothing is read of the client.
        for _ in range(4):
            client.send("x" * 99_999)
        # Longer than both times.
        time.sleep(7)
        go.touch()
        client.send("here")
        assert client.recv(timeout=40) == "here"
        # And once more, behind another ping.
        time.sleep(2)
        client.send("still here")
        assert client.recv(timeout=40) == "still here"


def test_a_close_is_heard_behind_what_the_program_does_not_read(session, marked):
    """And the other way: a window waits for the program, and what stands behind it in the same window is heard."""
    gateway = session("sleep", "1000", options="end=100ms kill=300ms")
    with gateway.connect() as connection:
        upgrade(connection)
        # More than a pipe holds.
        connection.send(frame(b"x" * 50_000, key=KEY) * 2)

        def taken():
            done = gateway.command("sessions", "--json")
            return sum(json.loads(line).get("octets_in", 0) for line in done.stdout.splitlines()) == 100_000
        wait_until(taken, within=40, what="all that was said")
        connection.send(frame(b"there?", opcode=9, key=KEY) + CLOSE)
        assert connection.read_exactly(8 + 4) == b"\x8a\x06there?\x88\x02\x03\xe8"
    marked.await_gone()


def test_what_comes_behind_the_end_of_input_is_dropped(session):
    """docs/sessions.md: `eof` closes standard input behind what was said before it, and nothing that is said later."""
    gateway = session("cat")
    with gateway.connect() as connection:
        upgrade(connection, b"Sec-WebSocket-Protocol: chimera.json.v1\r\n")
        said = ('{"type":"stdin","data":"one\\n"}', '{"type":"eof"}', '{"type":"stdin","data":"two\\n"}')
        connection.send(b"".join(frame(text.encode(), key=KEY) for text in said))
        data = b""
        while b'"exit"' not in data:
            piece = connection.read_some()
            assert piece, data
            data += piece
        assert b"one" in data and b"two" not in data


def test_a_poster_that_hangs_up_waits_for_no_program(session, marked):
    """A POST whose program does not read: what was read of it is the program's, and then the end comes."""
    gateway = session("sleep", "1000", options="http=on end=200ms kill=500ms")
    with gateway.connect() as connection:
        connection.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 1_000_000)
        marked.await_count(1)
    marked.await_gone()
