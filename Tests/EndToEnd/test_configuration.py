"""`chimera check` and `fmt`: errors with their place and a suggestion, all of them at once, for people and for editors."""

import json
import os
import pwd
import re

import pytest

from rig.gateway import free_port, run

MACHINE = "listen 127.0.0.1:8080\nimport conf.d/*.conf\n"


@pytest.fixture
def check(tmp_path):
    """check(tenant file, machine's file): runs `chimera check` on them."""
    def run_check(tenant: str | None = None, machine: str | None = None, *arguments: str, **files: str):
        (tmp_path / "conf.d").mkdir(exist_ok=True)
        (tmp_path / "chimera.conf").write_text(machine if machine is not None else MACHINE)
        if tenant is not None:
            (tmp_path / "conf.d/shop.conf").write_text(tenant)
        for name, content in files.items():
            (tmp_path / "conf.d" / name.replace("__", ".")).write_text(content)
        return run("check", *arguments, "--config", tmp_path / "chimera.conf", cwd=tmp_path)
    return run_check


def text_of(done) -> str:
    return done.stdout + done.stderr


def site(*lines: str) -> str:
    return "site shop.test {\n" + "\n".join("    " + line for line in lines) + "\n}\n"


# What is right

VALID = {
    "the smallest": "site blog.test { respond 200 ok }",
    "comments and quotes": '# a comment\nsite a.test { # another\n  /x redirect /y#z # moved\n  /a respond 200 "a # b {{ ; \\n" # end\n  /z respond 200 \'raw {x}\'\n}',
    "a continued line": "site a.test {\n  /x respond 200 \\\n    ok\n}",
    "statements on one line": "site a.test { /a respond 200 a ; /b respond 200 b ; }",
    "a block that ends a statement": "site a.test { /a { header X y } /b respond 200 b }",
    "an empty file": "",
    "only a comment": "# nothing\n",
    "CRLF line ends": "site a.test {\r\n  respond 200 ok\r\n}\r\n",
    "no line end at the end": "site a.test { respond 200 ok }",
    "a byte order mark": "\ufeffsite a.test { respond 200 ok }\n",
    "many settings": site(
        "limit body 20GB", "limit head 32KiB", "timeout body=30s send=30s response=none",
        "timeout connect=3s answer=60s read=60s quiet=1h", "canonical shop.test", "log access off", "allow all",
        "header A b", "header +A c", "header -D", "header ?E f", "@m header X", "@m query q", "!@m { header G h }",
        "GET,POST /a /b/* @m !@m respond 200 ok", "/c/{one}/{two}/* redirect /d/{one}/{two}/{rest}?q={query.x} 308",
        "/p/* proxy 127.0.0.1:1 localhost:2 http://[::1]:3 unix:/run/x.sock { strip /p ; prefix /q ; request-header Host x }",
        "/* proxy web"),
}


@pytest.mark.parametrize("tenant", [pytest.param(t, id=n) for n, t in VALID.items()])
def test_what_is_right_passes(check, tenant):
    """config.md, Grammar: exit code 0, no error and no warning."""
    machine = MACHINE + "pool web { to 127.0.0.1:3000 }\n"
    done = check(tenant, machine)
    assert done.returncode == 0, text_of(done)
    assert not re.search(r"conf:\d+:\d+: ", text_of(done))


# What is wrong: (tenant file, line, column or None, what the message must hold)

WRONG = {
    "an unknown directive": (site("/x respnd 200"), 2, 8, ["respnd", "respond"]),
    "an unknown setting": (site("hedaer X y", "respond 200"), 2, 5, ["hedaer", "header"]),
    "an unknown directive of a file": ("sitte a.test { }", 1, 1, ["sitte", "site"]),
    "a near miss of an option": (site("files . indx=x"), 2, 13, ["indx", "index"]),
    "an ambiguous size": (site("limit body 10M", "respond 200"), 2, 16, ["10MB", "10m"]),
    "a duration without unit": (site("timeout head=10", "respond 200"), 2, None, ["10"]),
    "a duration of another unit": (site("timeout head=10x", "respond 200"), 2, None, ["10x"]),
    "a negative size": (site("limit body -1MB", "respond 200"), 2, 16, ["-1MB"]),
    "a status that is none": (site("respond 999"), 2, 13, ["999"]),
    "a status of letters": (site("respond ok"), 2, 13, ["ok"]),
    "a redirect with a status of success": (site("redirect /x 200"), 2, 17, ["200"]),
    "a missing argument": (site("redirect"), 2, None, ["redirect"]),
    "an argument too many": (site("limit body 1MB 2MB", "respond 200"), 2, 20, ["2MB"]),
    "on for off": (site("log access offf", "respond 200"), 2, 16, ["offf", "off"]),
    "an unknown word of satisfy": (site("satisfy eny", "respond 200"), 2, 13, ["eny", "any"]),
    "a block without end": ("site a.test {\n  respond 200\n", 1, None, ["not closed|closed|}"]),
    "a brace too many": ("site a.test { respond 200 }\n}\n", 2, 1, ["}"]),
    "a brace that opens a line": ("site a.test\n{ respond 200 }\n", 2, 1, ["{"]),
    "an open quote": ('site a.test { respond 200 "open\n}\n', 1, 27, ["quote|\"|closed"]),
    "text behind a quote": ('site a.test { respond 200 "a"b }\n', 1, None, ["quote|\""]),
    "a semicolon at a word": ("site a.test { respond 200 ok; }\n", 1, 27, ["ok;", "ok ;"]),
    "unbalanced braces": ("site a.test { /x redirect /{rest }\n", 1, None, ["{rest"]),
    "a segment that mixes": (site("/a{b}c respond 200"), 2, 5, ["/a{b}c"]),
    "a pattern with a query": (site("/a?b respond 200"), 2, 5, ["?"]),
    "a star in the middle": (site("/a/*/b respond 200"), 2, 5, ["*"]),
    "an unknown variable": (site("header X {nonesuch}", "respond 200"), 2, 14, ["nonesuch"]),
    "a near miss of a variable": (site("header X {clinet}", "respond 200"), 2, 14, ["clinet", "client"]),
    "a capture that is not there": (site("/x/{a} redirect /{b}"), 2, 21, ["{b}"]),
    "an unknown matcher": (site("/x @nonesuch respond 200"), 2, 8, ["@nonesuch"]),
    "an unknown kind of matcher": (site("@m hedder X", "respond 200"), 2, 8, ["hedder", "header"]),
    "a method that is no token": (site("GE:T /x respond 200"), 2, 5, ["GE:T"]),
    "a method in lower case": (site("get /x respond 200"), 2, 5, ["get", "GET"]),
    "a bare word that names no pool": (site("proxy web"), 2, 11, ["web"]),
    "a name without its port": (site("proxy localhost"), 2, 11, ["localhost:80"]),
    "a timeout that the machine's file owns": (site("timeout head=10s", "respond 200"), 2, None, ["head"]),
    "a port past 65535": (site("proxy localhost:70000"), 2, 11, ["70000"]),
    "a socket path that is too long": (site("proxy unix:/" + "x" * 120), 2, 11, ["107"]),
    "a CIDR that is none": (site("allow 10.0.0.0/33", "respond 200"), 2, 11, ["10.0.0.0/33"]),
    "host bits in a CIDR or a bad address": (site("allow 10.0.0", "respond 200"), 2, 11, ["10.0.0"]),
    "a host that is none": ("site a_b..test { respond 200 }\n", 1, 6, ["a_b..test"]),
    "a host twice": ("site a.test { respond 200 }\nsite a.test { respond 200 }\n", 2, None, ["a.test"]),
    "a password file that is missing": (site("auth basic none", "respond 200"), 2, 16, ["none"]),
    "an error page that is missing": (site("error 404 none.html", "respond 200"), 2, 15, ["none.html"]),
    "a body file that is missing": (site("respond 200 file:none"), 2, 17, ["none"]),
    "a machine's directive in a tenant's file": ("workers 3\n", 1, 1, ["workers"]),
    "a listener in a tenant's file": ("listen 80\n", 1, 1, ["listen"]),
    "a directive in the wrong place": (site("respond 200 ok { strip-all x }"), 2, 22, ["strip-all"]),
    "a block where there is none": (site("limit body 1MB { x }", "respond 200"), 2, None, ["block"]),
    "a field name that is none": (site('header "a b" c', "respond 200"), 2, 12, ["a b"]),
    "a line end in a field": (site('header X "a\\nb"', "respond 200"), 2, 14, []),
    "NUL in the file": ("site a.test { respond 200 \0 }\n", 1, None, []),
    "an unknown block name in use": (site("use nonesuch", "respond 200"), 2, 9, ["nonesuch"]),
}


@pytest.mark.parametrize("tenant, line, column, words", [pytest.param(*row, id=n) for n, row in WRONG.items()])
def test_an_error_has_its_place_and_a_hint(check, tenant, line, column, words):
    """config.md, Rules 7: FILE:LINE:COLUMN: message, the line and a caret, and what was meant."""
    done = check(tenant)
    output = text_of(done)
    assert done.returncode != 0, f"accepted:\n{tenant}\n{output}"
    place = re.search(rf"^\S*shop\.conf:{line}:(\d+): (.*)$", output, re.M)
    assert place, f"no error at line {line}:\n{output}"
    if column is not None:
        assert int(place.group(1)) == column, output
    block = output[place.start():]
    for word in words:
        assert any(w in block for w in word.split("|")), f"{word!r} is not in\n{block}"
    source = tenant.split("\n")[line - 1].replace("\0", "").strip()[:30]
    if "\0" not in tenant:
        assert source in block, f"the line itself is not shown:\n{block}"
        caret = next((row for row in block.splitlines() if "^" in row), None)
        assert caret is not None, f"no caret:\n{block}"
        shown = next(row for row in block.splitlines()[1:] if source in row)
        if column is not None:
            offset = shown.index(tenant.split("\n")[line - 1].rstrip()[:60].strip()[:20])
            indent = len(tenant.split("\n")[line - 1]) - len(tenant.split("\n")[line - 1].lstrip())
            assert caret.index("^") == offset + column - 1 - indent, f"the caret is misplaced:\n{block}"


MACHINE_WRONG = {
    "an unknown directive": ("lissten 80\n", 1, 1, ["lissten", "listen"]),
    "a log format": ("log access jsn x.log\n", 1, 12, ["jsn", "json"]),
    "workers of letters": ("workers many\n", 1, 9, ["many"]),
    "no workers": ("workers 0\n", 1, 9, ["0"]),
    "a port past 65535": ("listen 70000\n", 1, 8, ["70000"]),
    "a listener twice": ("listen 127.0.0.1:80\nlisten 127.0.0.1:80\n", 2, None, ["127.0.0.1:80"]),
    "trust that is no address": ("trust everyone\n", 1, 7, ["everyone"]),
}


@pytest.mark.parametrize("machine, line, column, words", [pytest.param(*row, id=n) for n, row in MACHINE_WRONG.items()])
def test_an_error_of_the_machines_file(check, machine, line, column, words):
    """config.md, Rules 7, for the machine's file."""
    done = check(None, machine)
    output = text_of(done)
    assert done.returncode != 0
    assert re.search(rf"^\S*chimera\.conf:{line}:{column or '[0-9]+'}: ", output, re.M), output
    assert all(word in output for word in words), output


# Directives of later steps are refused by name (config.md, the introduction; issue, Configuration)

LATER = {
    "tls": site("tls shop.pem shop.key", "respond 200"), "session pty": site("/repl session pty=on -- python3 -i"),
    "channel": site("/live channel"), "app": site("app wsgi admin:application"),
    "fastcgi": site("fastcgi unix:/run/php.sock"), "uwsgi": site("uwsgi 127.0.0.1:1"), "scgi": site("scgi 127.0.0.1:1"),
    "php": site("php . unix:/run/php.sock"), "cache": site("cache on", "respond 200"), "compress": site("compress", "respond 200"),
    "cors": site("cors", "respond 200"), "auth forward": site("auth forward localhost:80", "respond 200"),
    "limit processes": site("limit processes 16", "respond 200"), "browse": site("files . browse"),
    "check": site("proxy localhost:80 {", "check /healthz every=5s", "}"), "mirror": site("proxy localhost:80 {", "mirror web 10%", "}"),
    "balance": site("proxy localhost:80 {", "balance least-requests", "}"), "h2c": site("proxy h2c://localhost:80"),
    "https": site("proxy https://localhost"),
}


@pytest.mark.parametrize("name", LATER)
def test_a_later_directive_is_refused_by_its_name(check, name):
    """config.md: the name is known, and the error says that this version does not have it yet."""
    done = check(LATER[name])
    output = text_of(done)
    assert done.returncode != 0, output
    assert name.split()[0] in output
    assert re.search(r"this version|not yet|yet|later", output), output
    assert "did you mean" not in output


@pytest.mark.parametrize("line", ["listen 8443 tls", "admin unix:/run/x.sock", "metrics 127.0.0.1:9100", "store 10GB",
                                  "data /var/lib/chimera", "tenants { permit files }", "tenant shop { permit session }"])
def test_a_later_directive_of_the_machine(check, line):
    """The same for the machine's file; what needs no later step may be accepted already."""
    done = check(None, line + "\n")
    if done.returncode != 0:
        assert re.search(r"this version|yet|later", text_of(done)), text_of(done)


# All at once

def test_all_errors_of_all_files_are_reported(check):
    """config.md, Rules 7: all errors of a file, not the first alone; each file on its own."""
    done = check(site("respnd 200", "limit body 10M", "/a?b respond 200", "header X {nonesuch}"),
                 "lissten 80\n" + MACHINE + "workers many\n", other__conf="site b.test { redirekt /x }\n")
    output = text_of(done)
    for place in ("shop.conf:2:", "shop.conf:3:", "shop.conf:4:", "shop.conf:5:", "chimera.conf:1:", "chimera.conf:4:",
                  "other.conf:1:"):
        assert place in output, f"{place} is missing:\n{output}"
    assert done.returncode != 0


def test_two_files_that_claim_one_host(check):
    """config.md, Rules 4: the second is refused with both positions."""
    output = text_of(check(site("respond 200"), other__conf="site shop.test { respond 200 }\n"))
    assert "shop.conf:1:" in output and "other.conf:1:" in output and "shop.test" in output


def test_missing_files(tmp_path):
    """User promise: a file that is not there is named."""
    done = run("check", "--config", tmp_path / "none.conf")
    assert done.returncode != 0 and "none.conf" in text_of(done)
    (tmp_path / "chimera.conf").write_text("import other.conf\n")
    done = run("check", "--config", tmp_path / "chimera.conf")
    assert done.returncode != 0 and "chimera.conf:1:" in text_of(done) and "other.conf" in text_of(done)


def test_an_import_that_imports_itself(check, tmp_path):
    """Bounded: a loop of imports is an error, not an endless reading."""
    (tmp_path / "loop.conf").write_text("import loop.conf\n")
    assert check(None, "import loop.conf\n").returncode != 0


def test_values_from_files_and_the_environment_are_not_printed_back(check, tmp_path):
    """config.md, Grammar: `env:NAME` and `file:PATH` are never printed back."""
    (tmp_path / "conf.d").mkdir(exist_ok=True)
    (tmp_path / "conf.d/secret").write_text("hunter2 is no status")
    for arguments in ((), ("--json",)):
        assert "hunter2" not in text_of(check(site("respond file:secret"), None, *arguments))


# Warnings

@pytest.mark.parametrize("tenant, word", [
    (site("/x respond 200 a", "/x respond 200 b"), "/x"),
    (site("/admin { deny all }", "/* respond 200 ok"), "/admin"),
    (site("/{a} respond 200 a", "/{b} respond 200 b"), "{"),
], ids=["equal routes", "a guard without star", "equal patterns"])
def test_warnings_do_not_refuse(check, tenant, word):
    """config.md, Routes: what is left equal goes by file order, with a warning; so does a guard on a pattern without `*`."""
    done = check(tenant)
    assert done.returncode == 0, text_of(done)
    assert re.search(r"shop\.conf:\d+:\d+: .*warning", text_of(done)) and word in text_of(done), text_of(done)


def test_a_path_that_escapes_a_guard_is_warned_about(check):
    """config.md, Routes: with an example path, where the order lets a path escape another route's guard."""
    done = check(site("/admin/* { deny all }", "/admin/* respond 403", "/*.php respond 200 php", "/{x}/{y} respond 200 ok",
                      "/files/* @m respond 200 a", "@m header X", "/files/* respond 200 b"))
    assert done.returncode == 0, text_of(done)


# For editors

def diagnostics(done) -> list[dict]:
    """The diagnostics of `check --json`: a list, or an object that holds one."""
    document = json.loads(done.stdout)
    if isinstance(document, dict):
        lists = [v for v in document.values() if isinstance(v, list)]
        return [d for entries in lists for d in entries if isinstance(d, dict)]
    return document


def test_json_of_errors(check):
    """config.md, Rules 7: `check --json` serves editors."""
    done = check(site("respnd 200", "limit body 10M"), None, "--json")
    assert done.returncode != 0
    found = diagnostics(done)
    assert [(d["line"], d["column"]) for d in found] == [(2, 5), (3, 16)]
    assert all(str(d["file"]).endswith("shop.conf") and d["message"] for d in found)
    assert "respond" in json.dumps(found[0])


@pytest.mark.parametrize("arguments", [[], ["--json"]], ids=["text", "json"])
def test_a_file_that_cannot_be_read_has_no_position(tmp_path, arguments):
    """User promise: `check --config /nope` names the file, and invents no line in it."""
    done = run("check", "--config", tmp_path / "none.conf", *arguments)
    assert done.returncode == 1
    if arguments:
        [found] = diagnostics(done)
        assert (found["line"], found["column"], found["message"]) == (None, None, "this file does not exist")
    else:
        assert done.stderr == f"{tmp_path}/none.conf: this file does not exist\n"


def test_json_of_what_is_right(check):
    """The same shape, with nothing in it, and exit code 0."""
    done = check(site("respond 200"), None, "--json")
    assert done.returncode == 0 and diagnostics(done) == []


def test_json_survives_any_bytes(check):
    """Quotes, control characters and emoji of a configuration come out as JSON."""
    done = check(site('re"sp\tnd\\ 200', "h\u00e9\U0001f427 x"), None, "--json")
    assert done.returncode != 0 and diagnostics(done)


# fmt

FORMATTED = [*VALID.values(), "site   a.test{\nrespond 200 ok\n}\n".replace("test{", "test {"),
             "site a.test {\n\n\n\n# note\n        /x   respond 200 'it''s'\n   }\n".replace("'it''s'", "\"it's\"")]


@pytest.mark.parametrize("content", FORMATTED, ids=range(len(FORMATTED)))
def test_fmt_is_idempotent_and_keeps_the_meaning(check, tmp_path, content):
    """config.md, Rules 8: formatting twice is formatting once, comments stay, and the result passes as before."""
    machine = MACHINE + "pool web { to 127.0.0.1:3000 }\n"
    before = check(content, machine).returncode

    def formatted(text):
        path = tmp_path / "file.conf"
        path.write_text(text)
        done = run("fmt", path)
        assert done.returncode == 0, text_of(done)
        return path.read_text()
    once = formatted(content)
    assert formatted(once) == once
    assert [re.sub(r"\s+", " ", c) for c in re.findall(r"# \w+", content)] == re.findall(r"# \w+", once)
    assert check(once, machine).returncode == before == 0


def test_fmt_leaves_a_broken_file_alone(tmp_path):
    """User promise: what cannot be parsed is reported and not touched."""
    path = tmp_path / "broken.conf"
    path.write_text("site a.test {\n")
    done = run("fmt", path)
    assert done.returncode != 0 and "broken.conf:1:" in text_of(done)
    assert path.read_text() == "site a.test {\n"


# Starting with a bad configuration

def test_run_refuses_a_machines_file_with_errors(tmp_path):
    """config.md, Rules 7: `run` says what `check` says and does not start."""
    (tmp_path / "chimera.conf").write_text(f"listen 127.0.0.1:{free_port()}\nworkerz 2\n")
    done = run("run", "--config", tmp_path / "chimera.conf")
    assert done.returncode not in (0, None)
    assert re.search(r"chimera\.conf:2:1: .*workerz.*workers", done.stderr), done.stderr
    assert "listening on" not in done.stderr


def test_usage(tmp_path):
    """User promise: help is there, and an unknown command is an error that says so."""
    assert run("--help").returncode == 0
    for command in ("run", "check", "fmt", "files", "proxy"):
        done = run(command, "--help")
        assert done.returncode == 0 and command in text_of(done)
    assert run("nonesuch").returncode != 0


@pytest.mark.parametrize("path,why", [
    ("none/access.log", "No such file or directory"), ("folder", "Is a directory"), ("file/access.log", "Not a directory"),
])
def test_an_access_log_that_cannot_be_written_is_told(tmp_path, path, why):
    """config.md, rule 7: `check` says what would keep the gateway from serving, and that says who tried it."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    config = tmp_path / "chimera.conf"
    user = "user root\n" if os.geteuid() == 0 else ""
    config.write_text(f"{user}listen 127.0.0.1:0\n  log access json {path}\ndata data\nsite * {{ respond 200 ok }}\n")
    done = run("check", "--config", config)
    name = pwd.getpwuid(os.geteuid()).pw_name
    line = 3 if user else 2
    said = f"chimera.conf:{line}:3: "
    assert said in done.stderr, done.stderr
    assert f"the access log cannot be written by user {name}: {tmp_path}/{path}: {why}" in done.stderr, done.stderr
    # Nobody but root knows who will serve.
    assert done.returncode == (1 if user else 0)
    done = run("run", "--config", config)
    assert done.returncode == 3, done.stderr
    assert f"cannot serve: the access log cannot be written by user {name}: open {tmp_path}/{path}: {why}" in done.stderr


def test_an_access_log_that_can_be_written_is_none_of_a_check_s_business(tmp_path):
    config = tmp_path / "chimera.conf"
    user = "user root\n" if os.geteuid() == 0 else ""
    for path in ["new.log", "there.log", "-"]:
        (tmp_path / "there.log").touch()
        config.write_text(f"{user}listen 127.0.0.1:0\nlog access json {path}\nsite * {{ respond 200 ok }}\n")
        done = run("check", "--config", config)
        assert done.returncode == 0 and "access log" not in done.stderr, done.stderr
    assert not (tmp_path / "new.log").exists()
