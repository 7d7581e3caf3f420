"""What a gateway keeps of its tenants, and what it says of them, where something is in the way: listeners that are
taken, names that are too long, damaged files, two files with one stem."""

import socket

import pytest

from rig.client import wait_until

from test_tenants import answering, command, kept, restart

LONG = "x" * 245


def plane(gateway) -> dict:
    return gateway.status()["data_plane"]


def test_a_reload_that_is_refused_is_forgotten_as_a_whole(start_gateway):
    """Rules 3: what cannot be served was never there: for `diff`, `status`, the store, and the next start."""
    gateway = start_gateway(answering("one"))
    kept(gateway, "respond 200 one")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        gateway.sites = {"test.conf": answering("two"), "new.conf": answering("new", "new.test")}
        gateway.machine = f"listen 127.0.0.1:{taken.getsockname()[1]}"
        gateway.write_configuration()
        done = gateway.command("reload")
        assert done.returncode == 3 and "cannot listen on" in done.stderr
        assert gateway.get().text == "one" and gateway.get("/", "new.test").status == 421
        assert plane(gateway)["last_reload"]["outcome"] == "failed" and plane(gateway)["sites"] == 1
        for how in ([], ["--running"]):
            said = command(gateway, "diff", *how)
            assert said.returncode == 1
            assert "conf.d/new.conf: added" in said.stdout and "-    respond 200 one" in said.stdout
        assert b"respond 200 two" not in (gateway.directory / "data/tenants/test.good").read_bytes()
    # The port is free now, and nothing else has changed.
    assert gateway.command("reload").returncode == 0
    assert gateway.get().text == "two" and gateway.get("/", "new.test").text == "new"
    assert command(gateway, "diff", "--running").returncode == 0


def test_a_name_too_long_for_a_file_of_the_store(start_gateway):
    """Rules 3: kept across restarts, whatever the name, and nobody else's version waits for it."""
    gateway = start_gateway({f"{LONG}.conf": answering("long"), "other.conf": answering("one", "other.test")})
    kept(gateway, "respond 200 long", "respond 200 one")
    for name in (f"{LONG}.conf", "other.conf"):
        (gateway.directory / "conf.d" / name).write_text("site {")
    restart(gateway)
    assert gateway.get().text == "long" and gateway.get("/", "other.test").text == "one"
    assert command(gateway, "diff").stdout.count(": changed") == 2


def test_a_version_that_cannot_be_kept_is_reported_for_its_tenant(start_gateway):
    gateway = start_gateway({"test.conf": answering("one"), "other.conf": answering("one", "other.test")})
    kept(gateway, "respond 200 one", "other.test")
    place = gateway.directory / "data/tenants/test.good"
    place.unlink()
    place.mkdir()
    gateway.sites = {"test.conf": answering("two"), "other.conf": answering("two", "other.test")}
    gateway.write_configuration()
    assert gateway.command("reload").returncode == 0
    gateway.await_stderr(r"tenant test: its last good version cannot be kept across a restart: .*test\.good")
    wait_until(lambda: b"200 two" in (gateway.directory / "data/tenants/other.good").read_bytes(),
               what="the other tenant's version")
    assert any("tenant test: its last good version cannot be kept" in line for line in plane(gateway)["store"])
    assert "tenant test: its last good version cannot be kept" in gateway.command("status").stdout
    for _ in range(3):
        assert gateway.command("reload").returncode == 0
    assert gateway.stderr.count("tenant test: its last good version cannot be kept") == 1
    place.rmdir()
    assert gateway.command("reload").returncode == 0
    wait_until(lambda: plane(gateway)["store"] == [], what="a store without faults")
    assert b"200 two" in place.read_bytes()


@pytest.mark.parametrize("name", ["index", "owner.good"])
@pytest.mark.parametrize("how", ["empty", "half", "changed"])
def test_a_damaged_store_is_reported_and_repaired(start_gateway, name, how):
    """Rules 4: the first owner is remembered across restarts; what is damaged is said, and written anew."""
    gateway = start_gateway({"owner.conf": answering("owner"), "other.conf": answering("x", "other.test")})
    kept(gateway, "respond 200 owner", "other.test")
    gateway.settle()
    gateway.stop()
    path = gateway.directory / "data/tenants" / name
    whole = path.read_bytes()
    path.write_bytes({"empty": b"", "half": whole[:len(whole) // 2],
                      "changed": whole.replace(b"test", b"tast")}[how])
    (gateway.directory / "conf.d/a.conf").write_text(answering("thief"))
    gateway._lines.clear()
    gateway.spawn()
    gateway.await_stderr(r"listening on")
    gateway.await_stderr(rf"data/tenants/{name}.* is damaged")
    assert gateway.get().text == "owner"
    assert any("damaged" in line for line in plane(gateway)["store"])
    assert "damaged" in gateway.command("status").stdout
    wait_until(lambda: path.read_bytes()[-10:] == whole[-10:] or name == "index", what="the version that is written anew")
    restart(gateway)
    assert gateway.get().text == "owner" and plane(gateway)["store"] == []


def test_a_damaged_version_keeps_its_host(start_gateway):
    gateway = start_gateway({"owner.conf": answering("owner")})
    kept(gateway, "respond 200 owner")
    gateway.settle()
    gateway.stop()
    (gateway.directory / "data/tenants/owner.good").write_bytes(b"")
    (gateway.directory / "conf.d/owner.conf").write_text("site test { rspnd }")
    (gateway.directory / "conf.d/a.conf").write_text(answering("thief"))
    gateway._lines.clear()
    gateway.spawn()
    gateway.await_stderr(r"conf\.d/owner\.conf: the last good version .*owner\.good is damaged")
    gateway.await_stderr(r"a\.conf:1:1: the host \"test\" belongs to another site \(see .*owner\.conf\)")
    gateway.await_stderr(r"listening on")
    assert gateway.get().status == 421
    tenants = {tenant["tenant"]: tenant for tenant in plane(gateway)["outdated_tenants"]}
    assert any("damaged" in why for why in tenants["owner"]["why"])
    (gateway.directory / "conf.d/owner.conf").write_text(answering("again"))
    wait_until(lambda: gateway.get().text == "again", what="the repaired file")


def test_two_files_with_one_stem_are_the_same_tenant_after_a_restart(start_gateway):
    """Rules 4: the one that serves goes on, also after a restart; `diff` compares it, `status` names the other."""
    gateway = start_gateway({}, start=False)
    gateway.import_line = "import conf.d/*.conf conf.d/*.chimera"
    (gateway.directory / "conf.d").mkdir(parents=True)
    (gateway.directory / "conf.d/test.chimera").write_text(answering("first"))
    gateway.start()
    kept(gateway, "respond 200 first")
    (gateway.directory / "conf.d/test.conf").write_text(answering("second"))
    for is_restart in (False, True):
        if is_restart:
            restart(gateway)
        else:
            gateway.command("reload")
        gateway.await_stderr(r"conf\.d/test\.conf:1:1: .*\"test\" is another file's already")
        assert gateway.get().text == "first"
        assert ["test.conf:1:1" in why for why in plane(gateway)["refused_files"]] == [True]
        assert "conf.d/test.conf:1:1: " in gateway.command("status").stdout
        assert command(gateway, "diff").returncode == 0
        assert command(gateway, "diff", "--running").returncode == 0


def test_diff_tells_a_file_that_cannot_be_read_and_drives_no_terminal(start_gateway):
    gateway = start_gateway({"test.conf": answering("one"), "other.conf": answering("one", "other.test")})
    kept(gateway, "other.test", "respond 200 one")
    (gateway.directory / "conf.d/test.conf").write_bytes(b"site test {\n    \x1b[31mred\x07\n}\n")
    other = gateway.directory / "conf.d/other.conf"
    other.unlink()
    other.mkdir()
    for how in ([], ["--running"]):
        said = command(gateway, "diff", *how)
        assert said.returncode == 1 and "conf.d/other.conf: unreadable, since it is not a file\n" in said.stdout
        assert "+    \u241b[31mred\u2407\n" in said.stdout and "\x1b" not in said.stdout
    other.rmdir()


def test_a_wildcard_above_a_host_that_is_given(start_gateway):
    """Rules 4: `tenant ID { hosts }` binds before its tenant names the host."""
    gateway = start_gateway({"t.conf": answering("t", "*.giv.test"), "u.conf": answering("u", "**.own.test")},
                            machine="tenant giv { hosts a.giv.test }\ntenant own { hosts own.test *.own.test }")
    gateway.await_stderr(r"t\.conf:1:1: .*is above a host that is given to the tenant \"giv\" \(see .*chimera\.conf:\d+:\d+\)")
    gateway.await_stderr(r"u\.conf:1:1: .*is above a host that is given to the tenant \"own\"")
    for host in ("a.giv.test", "b.giv.test", "x.own.test", "y.x.own.test"):
        assert gateway.get("/", host).status == 421


def test_a_limit_counts_on_where_its_line_has_moved(start_gateway):
    def site(comment, text):
        return f"{comment}site test {{\n    limit requests 3/h\n    respond 200 {text}\n}}\n"
    gateway = start_gateway(site("", "one"))
    assert [gateway.get().status for _ in range(4)] == [200, 200, 200, 429]
    gateway.sites = site("# a line\n# and another\n", "two")
    gateway.write_configuration()
    assert gateway.command("reload").returncode == 0
    assert gateway.get().status == 429


def test_a_folder_that_becomes_another_tenants_is_served_no_longer(start_gateway):
    """Rules 2: what a last good version may serve is decided by the guard rails of today, also in a reload."""
    gateway = start_gateway({"t.conf": "site test { files t.eu }"}, machine="tenants { permit files }", start=False)
    folder = gateway.directory / "conf.d/t.eu"
    folder.mkdir(parents=True)
    (folder / "s").write_text("eu")
    gateway.start()
    assert gateway.get("/s").text == "eu"
    (gateway.directory / "conf.d/t.eu.conf").write_text(answering("eu", "eu.test"))
    wait_until(lambda: gateway.get("/s").status == 421, what="the end of the old version")
    assert gateway.get("/", "eu.test").text == "eu"
    wait_until(lambda: "t.conf:1:19: " in gateway.stderr, what="what the log says of it")
    assert gateway.stderr.count("t.conf:1:19: ") == 1
