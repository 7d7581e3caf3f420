"""One tenant, one transaction: bad files, owned hosts, guard rails, watched directories, and reloads that nobody else
notices."""

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

from rig.client import request_bytes, wait_until
from rig.gateway import BINARY


def answering(text: str, host: str = "test") -> str:
    return f"site {host} {{\n    respond 200 {text}\n}}\n"


def restart(gateway) -> None:
    """The same directory in a new process."""
    gateway.stop()
    gateway._lines.clear()
    gateway.spawn()
    gateway.await_stderr(r"listening on")


def kept(gateway, *texts) -> None:
    """Waits until the data directory has these texts, each in some tenant's last good version."""
    folder = gateway.directory / "data/tenants"
    wait_until(lambda: folder.exists() and all(
        any(text.encode() in path.read_bytes() for path in folder.glob("*.good")) for text in texts),
        what="last good versions on the disk")


def command(gateway, *arguments):
    return subprocess.run([str(BINARY), *arguments, "--config", "chimera.conf"], cwd=gateway.directory,
                          capture_output=True, text=True, timeout=30)


# Transactions

def test_a_bad_file_keeps_its_last_good_version_and_touches_no_other(start_gateway):
    """config.md, Rules 3: the bad tenant's last good version serves, the error names file, line and column, and the
    change of another tenant in the same reload counts."""
    gateway = start_gateway({"test.conf": answering("one"), "other.conf": answering("one", "other.test")})
    with gateway.connect() as connection:
        assert connection.get().text == "one"
        gateway.reload({"test.conf": "site test {\n    respnd 200 two\n}\n", "other.conf": answering("two", "other.test")})
        wait_until(lambda: connection.get("/", "other.test").text == "two", what="the other tenant's change")
        assert connection.get().text == "one"
        gateway.await_stderr(r"test\.conf:2:5: unknown directive \"respnd\"; did you mean \"respond\"")
        gateway.reload({"test.conf": answering("three"), "other.conf": answering("two", "other.test")})
        wait_until(lambda: connection.get().text == "three", what="the repaired file")


def test_a_last_good_version_serves_after_a_restart(start_gateway):
    """Rules 3: kept across restarts, in the data directory, with the files that it refers to."""
    sites = {"test.conf": "site test {\n    error 404 test/page.html\n    /x respond 200 one\n}\n",
             "other.conf": answering("one", "other.test")}
    gateway = start_gateway(sites, start=False)
    page = gateway.directory / "conf.d/test/page.html"
    page.parent.mkdir(parents=True)
    page.write_text("the page")
    gateway.start()
    kept(gateway, "respond 200 one", "the page")
    (gateway.directory / "conf.d/test.conf").write_text("site test {\n    prxy 127.0.0.1:1\n}\n")
    page.unlink()
    restart(gateway)
    assert gateway.get("/x").text == "one"
    assert gateway.get("/y").text == "the page"
    assert gateway.get("/", "other.test").text == "one"
    gateway.await_stderr(r"test\.conf:2:5: ")
    assert (gateway.directory / "data/tenants").stat().st_mode & 0o077 == 0


def test_at_a_cold_start_a_bad_file_is_left_out(start_gateway):
    gateway = start_gateway({"test.conf": "site test {", "other.conf": answering("one", "other.test")})
    assert gateway.get("/", "other.test").text == "one"
    assert gateway.get().status == 421
    gateway.await_stderr(r"test\.conf:1:11: ")


def test_a_bad_machine_file_changes_nothing_and_refuses_a_start(start_gateway):
    """Rules 3: at a reload all goes on as before; at a cold start it is the end, with 1."""
    gateway = start_gateway(answering("one"))
    gateway.reload(answering("two"), machine="workerz 3")
    gateway.await_stderr(r"chimera\.conf:\d+:1: .*workerz")
    assert gateway.get().text == "one"
    assert command(gateway, "run").returncode == 1


def test_two_files_with_one_stem(start_gateway):
    """Rules 4: an error, and the tenant that serves goes on."""
    gateway = start_gateway(answering("one"), start=False)
    gateway.import_line = "import conf.d/*.conf more.d/*.conf"
    more = gateway.directory / "more.d"
    more.mkdir(parents=True)
    gateway.start()
    (more / "test.conf").write_text(answering("two"))
    gateway.signal(signal.SIGHUP)
    gateway.await_stderr(r"more\.d/test\.conf:1:1: .*\"test\" is another file's already \(see .*conf\.d/test\.conf:1:1\)")
    assert gateway.get().text == "one"


# Hosts

def test_a_host_stays_with_its_owner(start_gateway):
    """Rules 4: the first owner keeps it, after a restart too; both positions are named; a removed file frees it."""
    gateway = start_gateway({"zoe.conf": answering("zoe")})
    kept(gateway, "respond 200 zoe")
    sites = {"zoe.conf": answering("zoe"), "adam.conf": answering("adam")}
    refusal = r"adam\.conf:1:1: the host \"test\" belongs to another site \(see .*zoe\.conf:1:1\)"
    gateway.reload(sites)
    gateway.await_stderr(refusal)
    assert gateway.get().text == "zoe"
    restart(gateway)
    gateway.await_stderr(refusal)
    assert gateway.get().text == "zoe"
    gateway.reload({"adam.conf": answering("adam")})
    wait_until(lambda: gateway.get().text == "adam", what="the host of the removed file")


def test_a_wildcard_above_another_tenants_host(start_gateway):
    """Rules 4: refused, and so is a host below another tenant's wildcard, unless the machine's file gives it."""
    first = {"a.conf": answering("a", "x.b.test"), "b.conf": answering("b", "*.c.test")}
    gateway = start_gateway(first)
    gateway.reload({**first, "d.conf": answering("d", "*.b.test"), "e.conf": answering("e", "y.c.test")})
    gateway.await_stderr(r"d\.conf:1:1: \"\*\.b\.test\" is above a host of the tenant \"a\" \(see .*a\.conf:1:1\)")
    gateway.await_stderr(r"e\.conf:1:1: .*is under \"\*\.c\.test\" of the tenant \"b\" \(see .*b\.conf:1:1\)")
    assert gateway.get("/", "z.b.test").status == 421
    assert gateway.get("/", "y.c.test").text == "b"
    gateway.reload(machine="tenant e { hosts y.c.test }", sites={**first, "e.conf": answering("e", "y.c.test")})
    wait_until(lambda: gateway.get("/", "y.c.test").text == "e", what="the host that was given")


def test_a_directory_that_cannot_be_read_changes_nothing(start_gateway):
    """Rules 4."""
    gateway = start_gateway(answering("one"))
    (gateway.directory / "conf.d").rename(gateway.directory / "gone")
    gateway.signal(signal.SIGHUP)
    gateway.await_stderr(r"chimera\.conf:\d+:\d+: the directory of \"conf\.d/\*\.conf\" does not exist")
    assert gateway.get().text == "one"
    (gateway.directory / "gone").rename(gateway.directory / "conf.d")
    gateway.reload(answering("two"))
    wait_until(lambda: gateway.get().text == "two", what="the directory that is back")


# The directory's own changes

def loads(gateway) -> int:
    return sum("configuration loaded again" in line for line in gateway.stderr.splitlines())


def test_a_change_in_the_directory_is_a_reload(start_gateway):
    """Rules 5: unless switched off, the directory's own change events do what SIGHUP does: a file that is written,
    replaced, added or removed."""
    gateway = start_gateway(answering("one"))
    folder = gateway.directory / "conf.d"
    (folder / "test.conf").write_text(answering("two"))
    wait_until(lambda: gateway.get().text == "two", what="the file that was written")
    (folder / "new").write_text(answering("three"))
    os.replace(folder / "new", folder / "test.conf")
    wait_until(lambda: gateway.get().text == "three", what="the file that was replaced")
    (folder / "other.conf").write_text(answering("other", "other.test"))
    wait_until(lambda: gateway.get("/", "other.test").text == "other", what="the file that was added")
    (folder / "other.conf").unlink()
    wait_until(lambda: gateway.get("/", "other.test").status == 421, what="the end of the file that was removed")


def test_changes_settle_before_they_count(start_gateway):
    """Rules 5: settled for 200 ms: fifty quick writes are few reloads, and other names are none."""
    gateway = start_gateway(answering("v0"))
    folder = gateway.directory / "conf.d"
    for number in range(1, 51):
        (folder / "test.conf").write_text(answering(f"v{number}"))
        (folder / ".test.conf.swp").write_text("x")
        time.sleep(0.01)
    wait_until(lambda: gateway.get().text == "v50", what="the last version")
    # A loop of fifty writes on a busy machine may pause for longer than it takes to settle.
    # The answer to the command comes behind the lines of all that was loaded before.
    assert command(gateway, "reload").returncode == 0
    gateway.await_stderr("cause=command")
    count = loads(gateway)
    assert 2 <= count <= 11
    (folder / "notes.txt").write_text("not a tenant")
    (folder / "test.conf").write_text(answering("last"))
    wait_until(lambda: gateway.get().text == "last")
    wait_until(lambda: loads(gateway) > count, what="the line in the log")
    assert loads(gateway) == count + 1


def test_the_watch_can_be_switched_off(start_gateway):
    gateway = start_gateway(answering("one"), start=False)
    gateway.import_line = "import conf.d/*.conf watch=off"
    gateway.start()
    (gateway.directory / "conf.d/test.conf").write_text(answering("two"))
    time.sleep(0.6)
    assert gateway.get().text == "one" and loads(gateway) == 0
    gateway.signal(signal.SIGHUP)
    wait_until(lambda: gateway.get().text == "two", what="the signal")


def test_a_page_that_a_file_refers_to_is_watched(start_gateway):
    gateway = start_gateway("site test { error 404 test/page.html ; /x respond 200 }", start=False)
    page = gateway.directory / "conf.d/test/page.html"
    page.parent.mkdir(parents=True)
    page.write_text("one")
    gateway.start()
    assert gateway.get("/y").text == "one"
    page.write_text("two")
    wait_until(lambda: gateway.get("/y").text == "two", what="the page that was written")


def test_a_tenants_file_that_is_a_link_is_watched_where_it_leads(start_gateway):
    """Rules 5: the whole chain of links counts, and what takes the place of one of them; written in place or replaced."""
    gateway = start_gateway({}, start=False)
    for name in ["conf.d", "avail", "v1", "v2"]:
        (gateway.directory / name).mkdir(parents=True, exist_ok=True)
    (gateway.directory / "v1/k.conf").write_text(answering("one"))
    (gateway.directory / "v2/k.conf").write_text(answering("two"))
    (gateway.directory / "avail/now").symlink_to("../v1")
    gateway.start()
    (gateway.directory / "conf.d/k.conf").symlink_to("../avail/now/k.conf")
    wait_until(lambda: gateway.get().text == "one", what="the link")
    (gateway.directory / "avail/next").symlink_to("../v2")
    os.replace(gateway.directory / "avail/next", gateway.directory / "avail/now")
    wait_until(lambda: gateway.get().text == "two", what="another directory behind the link")
    for text in ["three", "four"]:
        (gateway.directory / "v2/k.conf").write_text(answering(text))
        wait_until(lambda: gateway.get().text == text, what="the file that was written in place")
    for text in ["five", "six"]:
        (gateway.directory / "v2/new").write_text(answering(text))
        os.replace(gateway.directory / "v2/new", gateway.directory / "v2/k.conf")
        wait_until(lambda: gateway.get().text == text, what="the file that was replaced")


def test_a_directory_that_is_made_again_is_watched_again(start_gateway):
    """Rules 5: also where nothing is there for a while, and where another one takes its place."""
    gateway = start_gateway("site test { error 404 test/deep/page.html ; /x respond 200 }", start=False)
    folder = gateway.directory / "conf.d/test/deep"

    def put(text):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "page.html").write_text(text)
        wait_until(lambda: gateway.get("/y").text == text, what=f"page {text}")
    folder.mkdir(parents=True)
    (folder / "page.html").write_text("one")
    gateway.start()
    assert gateway.get("/y").text == "one"
    (folder.parent).rename(gateway.directory / "aside")
    gateway.await_stderr(r"\"test/deep/page\.html\" does not exist")
    assert gateway.get("/y").text == "one"
    put("two")
    put("three")
    other = gateway.directory / "other"
    (other / "deep").mkdir(parents=True)
    (other / "deep/page.html").write_text("four")
    folder.parent.rename(gateway.directory / "aside2")
    other.rename(folder.parent)
    wait_until(lambda: gateway.get("/y").text == "four", what="the directory that took its place")
    put("five")
    conf = gateway.directory / "conf.d"
    conf.rename(gateway.directory / "gone")
    gateway.await_stderr(r"the directory of \"conf\.d/\*\.conf\" does not exist")
    (gateway.directory / "gone").rename(conf)
    (conf / "other.conf").write_text(answering("other", "other.test"))
    wait_until(lambda: gateway.get("/", "other.test").text == "other", what="the directory that is back")


def test_what_the_machines_own_sites_refer_to_is_watched(start_gateway):
    """Rules 5: the machine's file is one of those that refer to others."""
    gateway = start_gateway({}, "site test {\n    error 404 own/page.html\n    /x respond 200\n}", start=False)
    page = gateway.directory / "own/page.html"
    page.parent.mkdir(parents=True)
    page.write_text("one")
    gateway.start()
    assert gateway.get("/y").text == "one"
    for text in ["two", "three"]:
        page.write_text(text)
        wait_until(lambda: gateway.get("/y").text == text, what="the page that was written")


def test_an_empty_file_of_the_future_is_no_reason_to_look_for_ever(start_gateway):
    """tenants.md: what is empty for a moment is left as it was; what stays empty is not, whatever time it has."""
    gateway = start_gateway({"test.conf": answering("one"), "other.conf": answering("one", "other.test")},
                            env={"CHIMERA_LOG_LEVEL": "debug"})
    path = gateway.directory / "conf.d/test.conf"
    path.write_text("")
    os.utime(path, (4_000_000_000, 4_000_000_000))
    wait_until(lambda: gateway.get().status == 421, what="the end of the empty file's site")
    before = loads(gateway)
    time.sleep(1)
    assert loads(gateway) <= before + 1
    assert gateway.get("/", "other.test").text == "one"


# Nobody else notices

def test_two_hundred_reloads_under_load_lose_nothing(start_gateway, origins):
    """Issue: zero lost requests, resets or refused connections in 200 reloads under load; others' connections, their
    upstream connections and an open tunnel go on."""
    def script(connection):
        request = connection.read_request()
        if "Upgrade" in request.fields:
            connection.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: t\r\n\r\n")
            while data := connection.read_some():
                connection.send(data)
    # Nothing goes through the tunnel for as long as ten reloads take, which on a busy machine may be long.
    tunnel_origin, origin = origins(script, patience=600), origins.echo()
    sites = {"quiet.conf": f"site quiet.test {{ /t proxy {tunnel_origin.target} ; /* proxy {origin.target} }}"}
    gateway = start_gateway({**sites, "test.conf": answering("v0")})
    stop, failures, count = threading.Event(), [], [0]

    def client(host, fresh):
        try:
            while not stop.is_set():
                with gateway.connect() as connection:
                    for _ in range(1 if fresh else 1_000_000):
                        response = connection.get("/name", host)
                        assert response.status == 200, response
                        count[0] += 1
                        if stop.is_set():
                            return
        except BaseException as failure:
            failures.append(failure)
    with gateway.connect() as tunnel:
        tunnel.send(request_bytes(target="/t", host="quiet.test", fields=[("Connection", "Upgrade"), ("Upgrade", "t")]))
        assert tunnel.response().status == 101
        threads = [threading.Thread(target=client, args=arguments)
                   for arguments in [("quiet.test", False), ("test", False), ("test", True)]]
        for thread in threads:
            thread.start()
        try:
            for number in range(1, 201):
                gateway.reload({**sites, "test.conf": answering(f"v{number}")})
                wait_until(lambda: gateway.get().text == f"v{number}", what=f"version {number}", every=0.005)
                if number % 10 == 0:
                    assert tunnel.send(b"still here").read_exactly(10) == b"still here"
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert tunnel.send(b"still here").read_exactly(10) == b"still here"
    assert failures == [] and count[0] > 400
    # One connection of the one client that stays; nothing of the quiet tenant was made anew.
    assert len(origin.connections) == 1


# Guard rails

def test_connections_are_bound_where_they_lead(start_gateway, origins):
    """Rules 2: `to=` binds every outgoing connection, checked on the resolved address at each connect (RFC 9209 names
    what the client sees)."""
    origin = origins.echo()
    gateway = start_gateway({
        "free.conf": f"site free.test {{ proxy localhost:{origin.port} }}",
        "test.conf": f"site test {{ proxy localhost:{origin.port} }}",
        "bad.conf": f"site bad.test {{ proxy 127.0.0.1:{origin.port} }}",
    }, machine="tenants { permit proxy to=10.0.0.0/8 }\ntenant free { permit proxy to=127.0.0.0/8 to=::1 }")
    assert gateway.get("/name", "free.test").status == 200
    refused = gateway.get("/name")
    assert refused.status == 502 and "destination_ip_prohibited" in refused.fields["Proxy-Status"]
    gateway.await_stderr(r"bad\.conf:1:\d+: 127\.0\.0\.1 is not permitted to this tenant")
    assert gateway.get("/name", "bad.test").status == 421


def test_no_link_leads_out_of_what_is_the_tenants(start_gateway):
    """Rules 2: every path and every symbolic link stays in what is the tenant's own, also where the link is made after
    the file was checked."""
    gateway = start_gateway({"test.conf": "site test { files ./test/www }"}, machine="tenants { permit files }", start=False)
    folder = gateway.directory / "conf.d"
    (folder / "test/www").mkdir(parents=True)
    (folder / "test/www/x").write_text("mine")
    (folder / "other/www").mkdir(parents=True)
    (folder / "other/www/y").write_text("not mine")
    gateway.start()
    assert gateway.get("/x").text == "mine"
    (folder / "test/www").rename(folder / "test/old")
    (folder / "test/www").symlink_to("../other/www")
    assert gateway.get("/y").status == 404
    (folder / "test/www").unlink()
    (folder / "test/www").symlink_to("old")
    wait_until(lambda: gateway.get("/x").text == "mine", what="a link inside")
    (folder / "test").rename(folder / "saved")
    (folder / "test").symlink_to("other")
    assert gateway.get("/y").status == 404


def test_what_is_not_permitted_is_refused_with_its_place(start_gateway):
    gateway = start_gateway({"test.conf": "site test {\n    files /etc\n}\n", "ok.conf": answering("ok", "ok.test")},
                            machine="tenants { permit proxy }")
    gateway.await_stderr(r"test\.conf:2:5: `files` is not permitted to this tenant.*\(see .*chimera\.conf:\d+:1\)")
    assert gateway.get("/", "ok.test").text == "ok"


# Commands

def test_explain_names_lines_and_reasons(start_gateway):
    """Rules 8: which file and line, which route and why it won, which headers, which upstream; offline."""
    gateway = start_gateway("site test {\n    header X-A b\n    /api/* proxy 127.0.0.1:9\n    /* respond 200 x\n}\n")
    said = command(gateway, "explain", f"http://test:{gateway.port}/api/items?a=b")
    assert said.returncode == 0
    for part in ["test, tenant test (conf.d/test.conf:1:1)", "/api/* (conf.d/test.conf:3:5): the most specific",
                 "/* (conf.d/test.conf:4:5): less specific", "header X-A b (conf.d/test.conf:2:5)",
                 "upstream  127.0.0.1:9", "as /api/items?a=b"]:
        assert part in said.stdout, said.stdout
    assert command(gateway, "explain", "nonsense://").returncode == 2
    said = command(gateway, "explain", f"http://test:{gateway.port}/", "--client", "nonsense")
    assert said.returncode == 2 and '"nonsense" is not an address' in said.stderr


def test_explain_asks_the_gateway_that_runs(start_gateway):
    """Issue: offline and against the running one, which serves a last good version here."""
    gateway = start_gateway({"test.conf": answering("one")})
    gateway.reload({"test.conf": "site test {\n    respnd 200 two\n}\n"})
    gateway.await_stderr("its last good version serves")
    url = f"http://test:{gateway.port}/x"
    said = command(gateway, "explain", "--running", url, "--header", "A: b")
    assert said.returncode == 0 and "test, tenant test (" in said.stdout and "conf.d/test.conf:1:1)" in said.stdout
    assert "none answers to this host" in command(gateway, "explain", url).stdout
    lines = command(gateway, "explain", "--running", "--json", url).stdout.splitlines()
    assert json.loads(lines[-1])["text"].startswith(f"GET {url}\n")
    assert command(gateway, "explain", "--json", url).returncode == 2
    for wrong in ({"url": 1}, {"url": "a b"}, {"url": "a", "method": "A B"}, {"url": "a", "fields": ["A b"]},
                  {"url": "a", "fields": ["A: \r\nB: c"]}, {"url": "a", "fields": [1]}, {"url": "test", "client": "nobody"}, {}):
        answer = ask_admin(gateway, {"command": "explain", **wrong})
        assert "error" in answer[-1], answer
    for odd in ({"url": "%zz//..%2f;?#"}, {"url": "[::1"}, {"url": "test", "client": "2001:db8::7", "listener": "none"},
                {"url": "test/", "method": "CONNECT"}, {"url": "*"}, {"url": "test", "fields": ["Host: x"] * 500}):
        assert "text" in ask_admin(gateway, {"command": "explain", **odd})[-1], odd
    assert gateway.get().text == "one"


def ask_admin(gateway, request):
    """The lines of the administration's answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(gateway.directory / "admin.sock"))
        connection.sendall(json.dumps(request).encode() + b"\n")
        return [json.loads(line) for line in connection.makefile()]


def test_diff_asks_the_gateway_that_runs(start_gateway):
    """Rules 8: running against disk, also before anything was kept on the disk."""
    gateway = start_gateway({"test.conf": answering("one"), "same.conf": answering("x", "same.test")})
    assert command(gateway, "diff", "--running").returncode == 0
    (gateway.directory / "conf.d/test.conf").write_text("site test {\n    respnd 200 two\n}\n")
    said = command(gateway, "diff", "--running")
    assert said.returncode == 1 and "conf.d/test.conf: changed\n" in said.stdout
    assert "-    respond 200 one" in said.stdout and "+    respnd 200 two" in said.stdout
    assert "same" not in said.stdout
    entry = json.loads(command(gateway, "diff", "--running", "--json").stdout.splitlines()[0])
    assert entry["tenant"] == "test" and entry["kind"] == "changed"


def test_diff_shows_what_the_disk_has_and_the_service_has_not(start_gateway):
    """Rules 8: running against disk."""
    gateway = start_gateway({"test.conf": answering("one"), "gone.conf": answering("x", "gone.test")})
    kept(gateway, "respond 200 one", "gone.test")
    assert command(gateway, "diff").returncode == 0
    (gateway.directory / "conf.d/test.conf").write_text("site test {\n    respnd 200 two\n}\n")
    said = command(gateway, "diff")
    assert said.returncode == 1
    assert "conf.d/test.conf: changed" in said.stdout
    assert "-    respond 200 one" in said.stdout and "+    respnd 200 two" in said.stdout


# Scale

def test_two_thousand_tenants(start_gateway):
    """The short form of Tests/Benchmark/tenants.py: one bad file among many, one change, both after a restart too."""
    def tenant(number, text):
        return (f"site t{number}.test {{\n/a/* respond 200 a\n/b/* respond 200 b\n/c respond 200 c\n"
                f"/d/{{x}} respond 200 {{x}}\n/* respond 200 {text}\n}}\n")
    sites = {f"t{number}.conf": tenant(number, "v0") for number in range(2_000)}
    gateway = start_gateway(sites)
    folder = gateway.directory / "conf.d"
    kept(gateway, "site t1999.test")
    (folder / "t7.conf").write_text("site t7.test {\n/* respnd 200 x\n}\n")
    (folder / "t8.conf").write_text(tenant(8, "v1"))
    wait_until(lambda: gateway.get("/", "t8.test").text == "v1", what="the change")
    changed = gateway.await_stderr(r"configuration loaded again.*changed=")
    assert re.search(r"changed=1\b", changed), changed
    kept(gateway, "200 v1")
    for is_restarted in [False, True]:
        if is_restarted:
            restart(gateway)
        with gateway.connect() as connection:
            for number in [0, 7, 1_000, 1_999]:
                assert connection.get("/", f"t{number}.test").text == "v0"
            assert connection.get("/", "t8.test").text == "v1"
        gateway.await_stderr(r"t7\.conf:2:4: unknown verb \"respnd\"")
