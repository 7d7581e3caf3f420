"""The administration's socket and the commands that use it."""

import json
import os
import re
import socket
import stat
import threading

import pytest

from rig.client import request_bytes, wait_until
from rig.gateway import run
from rig.wire import ConnectionEnded

SITE = "site test { respond 200 ok }"


def talk(gateway, data: bytes) -> list[dict]:
    """Sends bytes to the socket and reads the lines of the answer."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(str(gateway.directory / "admin.sock"))
        try:
            s.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = b""
        try:
            while part := s.recv(65536):
                answer += part
        except ConnectionResetError:
            pass
    return [json.loads(line) for line in answer.splitlines()]


def test_the_socket_is_the_owners(start_gateway):
    """Issue: Unix, owner only."""
    gateway = start_gateway(SITE)
    mode = os.stat(gateway.directory / "admin.sock").st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600


def test_status_tells_what_runs(start_gateway):
    """Issue: workers, connections, sites, uptime, data planes and their generation, versions."""
    gateway = start_gateway({"a.conf": "site a.test { respond 200 a }", "b.conf": "site b.test { respond 200 b }"})
    with gateway.connect() as connection:
        connection.get("/", "a.test")
        status = gateway.status()
        supervisor, plane = status["supervisor"], status["data_plane"]
        assert supervisor["pid"] == gateway.process.pid and supervisor["restarts"] == 0
        assert [(p["generation"], p["state"], p["pid"]) for p in supervisor["data_planes"]] == [(1, "serving", gateway.pid)]
        version = run("version").stdout.split()[1]
        assert supervisor["version"] == plane["version"] == supervisor["data_planes"][0]["version"] == version
        assert len(plane["workers"]) == 2 and plane["connections"] >= 1 and plane["sites"] == 2
        assert plane["requests"] == 1 and plane["listening"] == [f"127.0.0.1:{gateway.port}"]
        assert plane["uptime_ms"] >= 0 and plane["outdated_tenants"] == []
    done = gateway.command("status")
    assert done.returncode == 0
    assert re.search(r"data plane 1: serving", done.stdout) and "2 workers" in done.stdout and "2 sites" in done.stdout


def test_status_names_tenants_that_are_left_out(start_gateway):
    """Issue: which tenant files serve an old version or none, and why, with the place."""
    gateway = start_gateway({"good.conf": SITE, "bad.conf": "site bad.test {\n    respnd 200 x\n}"})
    tenants = gateway.status()["data_plane"]["outdated_tenants"]
    assert [tenant["tenant"] for tenant in tenants] == ["bad"]
    assert re.search(r"bad\.conf:2:5: .*respnd", tenants[0]["why"][0])
    assert "tenant bad is not served" in gateway.command("status").stdout


def test_the_commands_find_the_socket_by_the_configuration(start_gateway, tmp_path):
    """config.md: `--config FILE` or `--admin unix:PATH`."""
    gateway = start_gateway(SITE)
    done = run("status", "--config", str(gateway.directory / "chimera.conf"))
    assert done.returncode == 0 and "serving" in done.stdout
    done = run("status", "--admin", f"unix:{tmp_path}/none.sock")
    assert done.returncode == 3 and "none.sock" in done.stderr


def test_the_usual_place_is_the_configurations_own(start_gateway, tmp_path):
    """config.md: without `admin` the runtime directory has the socket; two gateways do not meet."""
    gateways = [start_gateway(f"site test {{ respond 200 {n} ; /{n} respond 200 x }}", "# admin ",
                              env={"XDG_RUNTIME_DIR": str(tmp_path)}) for n in range(2)]
    for gateway in gateways:
        gateway.await_stderr("listening on")
        done = run("status", "--json", "--config", str(gateway.directory / "chimera.conf"), XDG_RUNTIME_DIR=str(tmp_path))
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["supervisor"]["pid"] == gateway.process.pid


def test_reload_waits_for_its_outcome(start_gateway):
    """config.md, Rules 5: `chimera reload` does what SIGHUP does, and says what came of it."""
    gateway = start_gateway(SITE)
    gateway.sites = "site test { respond 200 new }"
    gateway.write_configuration()
    done = gateway.command("reload")
    assert done.returncode == 0 and "1 sites" in done.stdout
    assert gateway.get().text == "new"
    gateway.machine = "nonsense"
    gateway.write_configuration()
    done = gateway.command("reload")
    assert done.returncode == 3 and re.search(r"chimera\.conf:\d+:1: .*nonsense", done.stderr)
    assert gateway.get().text == "new"


def test_a_reload_names_tenants_that_keep_their_last_good_version(start_gateway):
    """config.md, Rules 3: the others serve what their files say; the bad one's place is named, then and later."""
    sites = {"good.conf": SITE, "bad.conf": "site bad.test { respond 200 one }"}
    gateway = start_gateway(sites)
    gateway.sites = {"good.conf": "site test { respond 200 new }", "bad.conf": "site bad.test {\n    respnd 200 two\n}"}
    gateway.write_configuration()
    done = gateway.command("reload")
    assert done.returncode == 1 and "2 sites" in done.stdout
    assert re.search(r"bad\.conf:2:5: .*respnd", done.stderr) and "tenant bad serves an older version" in done.stderr
    assert gateway.get().text == "new" and gateway.get("/", "bad.test").text == "one"
    tenant, = gateway.status()["data_plane"]["outdated_tenants"]
    assert (tenant["tenant"], tenant["serves"]) == ("bad", "last-good") and tenant["served_since"] > 1_600_000_000
    assert re.search(r"bad\.conf:2:5: .*respnd", tenant["why"][0])
    text = gateway.command("status").stdout
    assert "tenant bad serves an older version of its file" in text and "bad.conf:2:5: " in text


def test_connections_are_listed_and_ended(start_gateway, origins):
    """Issue: who, how long, doing what; end one."""
    origin = origins(lambda connection: (connection.read_request(), connection.wait_closed()))
    gateway = start_gateway(f"site test {{ /wait proxy {origin.target} ; /* respond 200 ok }}")
    with gateway.connect() as idle, gateway.connect() as busy:
        assert idle.get().text == "ok"
        busy.send(request_bytes(target="/wait"))
        origin.request()

        def listed():
            lines = [json.loads(line) for line in gateway.command("connections", "--json").stdout.splitlines()]
            assert lines[-1]["done"] and lines[-1]["total"] == len(lines) - 1
            return {line["peer"]: line for line in lines[:-1]}
        mine = {name: "%s:%d" % connection.socket.getsockname() for name, connection in (("idle", idle), ("busy", busy))}
        found = listed()
        assert set(mine.values()) <= set(found)
        assert found[mine["idle"]]["state"] == "idle" and "request" not in found[mine["idle"]]
        report = found[mine["busy"]]
        assert report["state"] in ("serving", "relaying") and report["request"] == "GET test /wait"
        assert report["age_ms"] >= report["request_ms"] >= 0
        text = gateway.command("connections").stdout
        assert "GET test /wait" in text and mine["idle"] in text
        done = gateway.command("connections", "end", report["id"])
        assert done.returncode == 0, done.stderr
        with pytest.raises((ConnectionEnded, ConnectionResetError)):
            busy.response()
        assert gateway.command("connections", "end", found[mine["idle"]]["id"]).returncode == 0
        idle.expect_close()
        done = gateway.command("connections", "end", report["id"])
        assert done.returncode == 3 and report["id"] in done.stderr
    assert gateway.command("connections", "end", "nonsense").returncode == 3


def test_stop_ends_and_waits(start_gateway, origins):
    """Issue: `stop`; with --now at once."""
    origin = origins(lambda connection: (connection.read_request(), connection.wait_closed()))
    for arguments in (["stop"], ["stop", "--now"]):
        gateway = start_gateway(f"site test {{ /wait proxy {origin.target} ; /* respond 200 ok }}")
        if arguments[1:]:
            held = gateway.connect()
            held.send(request_bytes(target="/wait"))
            origin.request()
        done = gateway.command(*arguments)
        assert done.returncode == 0 and "stopped" in done.stdout, done.stderr
        assert gateway.await_exit(5) == 0
        assert not (gateway.directory / "admin.sock").exists()


@pytest.mark.parametrize("data, reason", [
    (b"\n", "no JSON object"), (b"status\n", "no JSON object"), (b"[1]\n", "no JSON object"), (b"{}\n", "command"),
    (b'{"command":"dance"}\n', "dance"), (b'{"command":"end"}\n', "id"), (b"\xff\x00\n", "no JSON object"),
    (b'{"command":"connections","generation":77}\n', "77"), (b"x" * 100_000 + b"\n", "too long"),
    (b"[" * 30_000 + b"\n", "no JSON object"),
])
def test_what_makes_no_sense_is_refused(start_shared, data, reason):
    """Issue: unknown commands, garbage; each is answered with an error, and the gateway goes on."""
    gateway = shared(start_shared)
    answer = talk(gateway, data)
    assert len(answer) == 1 and reason in answer[0]["error"]
    assert gateway.get().text == "ok"


_shared = []


def shared(start_shared):
    if not _shared or _shared[0].process.poll() is not None:
        _shared[:] = [start_shared(SITE)]
    return _shared[0]


def test_visitors_that_say_nothing_keep_nobody_out(start_shared):
    """Quality: the number of visitors is bounded, and so is their time; who says nothing for longest gives way, so that
    others are answered at once, and the gateway serves."""
    gateway = shared(start_shared)
    silent = []
    for _ in range(60):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(20)
        s.connect(str(gateway.directory / "admin.sock"))
        silent.append(s)
    assert gateway.get().text == "ok"
    assert gateway.status()["supervisor"]["pid"] == gateway.process.pid
    assert b"others have come" in silent[0].recv(4096)
    assert b"too long" in silent[-1].recv(4096)
    for s in silent:
        s.close()


def test_many_questions_at_once(start_shared):
    """Quality: a storm of questions is answered or refused, each with a line."""
    gateway = shared(start_shared)
    answers = []

    def ask():
        for _ in range(10):
            answers.append(talk(gateway, b'{"command":"status"}\n'))
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 80 and all(len(a) == 1 and ("done" in a[0] or "error" in a[0]) for a in answers)
    assert sum("done" in a[0] for a in answers) > 40
    wait_until(lambda: gateway.get().text == "ok")


@pytest.mark.parametrize("command", ["connections", "sessions"])
def test_a_list_has_a_bound_from_one_on(start_gateway, command):
    """config.md, rule 7: what makes no sense is an error, and not everything or nothing."""
    gateway = start_gateway(SITE)
    for wrong in ["0", "-1", "10001", "x", "9" * 30]:
        done = gateway.command(command, f"--limit={wrong}")
        assert done.returncode == 2 and "a number from 1 to 10000" in done.stderr, (wrong, done.stderr)
    assert gateway.command(command, "--limit=1").returncode == 0
    for wrong in [0, -1, -(1 << 62), "1", None, 1.5]:
        answer = talk(gateway, json.dumps({"command": command, "limit": wrong}).encode() + b"\n")
        assert answer[-1] == {"error": '"limit" is a number from 1 to 10000'}, (wrong, answer)
    for right in [1, 10_000, 1 << 62]:
        assert talk(gateway, json.dumps({"command": command, "limit": right}).encode() + b"\n")[-1]["done"] is True
