"""The verb `files`: what is served, conditions, ranges, precompressed siblings, and what never leaves the directory."""

import email.utils
import gzip
import os
import re
from urllib.parse import urljoin

import pytest

from rig.origin import PATTERN

OLD = 1_600_000_000
SECRET = b"the secret outside"
DATA = PATTERN[:10000]


def write(path, content: bytes | str, when: int = OLD):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    os.utime(path, (when, when))


@pytest.fixture(scope="module")
def shared(start_shared):
    gateway = start_shared("""
        site test {
            /*            files ./root
            /assets/*     files ./other
            /favicon.ico  files ./other
            /app/*        files ./spa fallback=/index.html
            /start/*      files ./other index=start.html
            /shown/*      files ./hidden hidden=on
            /deep/*       files ./root { strip /deep/path }
            /link/*       files ./linked
        }
        """, start=False)
    base = gateway.directory / "conf.d"
    root = base / "root"
    write(base / "secret.txt", SECRET)
    write(base / "root-sibling/secret.txt", SECRET)
    write(root / "index.html", "<h1>index</h1>")
    write(root / "data.bin", DATA)
    write(root / "empty.txt", "")
    write(root / "dir/index.html", "dir index")
    write(root / "dir/file.txt", "dir file")
    write(root / "dir/.hidden", SECRET)
    write(root / "bare/file.txt", "no index here")
    write(root / "a/b.txt", "a b")
    write(root / ".secret", SECRET)
    write(root / ".git/config", SECRET)
    write(root / "..double", SECRET)
    write(root / ".well-known/security.txt", "contact")
    write(root / "caf\u00e9.txt", "coffee")
    write(root / "two words.txt", "two words")
    write(root / "a+b&c.txt", "symbols")
    write(root / "100%.txt", "percent")
    write(root / "%2e%2e/x.txt", "literal escapes")
    write(root / "UPPER.HTML", "<p>upper</p>")
    for name in ("x.html", "x.css", "x.js", "x.mjs", "x.json", "x.svg", "x.png", "x.jpg", "x.jpeg", "x.gif", "x.webp",
                 "x.avif", "x.woff2", "x.wasm", "x.txt", "x.pdf", "x.mp4", "x.webm", "x.mp3", "x.xml", "x.ico",
                 "x.zip", "x.unknown-extension", "noextension", "x.tar.gz"):
        write(root / "types" / name, "x")
    script = b"console.log('hello')\n" * 500
    write(root / "app.js", script)
    write(root / "app.js.gz", gzip.compress(script, mtime=0))
    write(root / "app.js.br", b"brotli of app.js")
    write(root / "app.js.zst", b"zstandard of app.js")
    write(root / "only.css", "body{}")
    write(root / "only.css.gz", gzip.compress(b"body{}", mtime=0))
    write(root / "lonely.txt.gz", gzip.compress(b"lonely", mtime=0))
    os.symlink("dir/file.txt", root / "inside")
    os.symlink("../secret.txt", root / "outside")
    os.symlink("/etc", root / "etc")
    os.symlink("..", root / "up")
    os.symlink("nowhere", root / "dangling")
    os.symlink("loop", root / "loop")
    os.symlink("dir", root / "dirlink")
    os.mkfifo(root / "pipe")
    (base / "linked").symlink_to(root)
    write(base / "other/x", "other x")
    write(base / "other/favicon.ico", "icon")
    write(base / "other/start.html", "start")
    write(base / "spa/index.html", "the app")
    write(base / "spa/main.js", "main")
    write(base / "hidden/.dot", "shown")
    return gateway.start()


@pytest.fixture
def gateway(shared):
    yield shared
    shared.assert_alive()


@pytest.fixture
def base(shared):
    return shared.directory / "conf.d"


# What is served

@pytest.mark.parametrize("target, status, body", [
    ("/", 200, b"<h1>index</h1>"),
    ("/index.html", 200, b"<h1>index</h1>"),
    ("/dir/", 200, b"dir index"),
    ("/dir/file.txt", 200, b"dir file"),
    ("/dir/file.txt?query=1", 200, b"dir file"),
    ("/dir//file.txt", 200, b"dir file"),
    ("//dir/file.txt", 200, b"dir file"),
    ("/dir/../dir/file.txt", 200, b"dir file"),
    ("/dir/./file.txt", 200, b"dir file"),
    ("/dir/%2e%2e/dir/file.txt", 200, b"dir file"),
    ("/d%69r/file%2Etxt", 200, b"dir file"),
    ("/dir%2Ffile.txt", 200, b"dir file"),
    ("/dir;v=1/file.txt;x", 200, b"dir file"),
    ("/dir/%66ile.txt", 200, b"dir file"),
    ("/caf%C3%A9.txt", 200, b"coffee"),
    ("/caf%c3%a9.txt", 200, b"coffee"),
    ("/two%20words.txt", 200, b"two words"),
    ("/a+b&c.txt", 200, b"symbols"),
    ("/a%2Bb%26c.txt", 200, b"symbols"),
    ("/100%25.txt", 200, b"percent"),
    ("/%252e%252e/x.txt", 200, b"literal escapes"),
    ("/empty.txt", 200, b""),
    ("/inside", 200, b"dir file"),
    ("/dirlink/file.txt", 200, b"dir file"),
    ("/.well-known/security.txt", 200, b"contact"),
    ("/assets/x", 200, b"other x"),
    ("/favicon.ico", 200, b"icon"),
    ("/start/", 200, b"start"),
    ("/shown/.dot", 200, b"shown"),
    ("/deep/path/dir/file.txt", 200, b"dir file"),
    ("/link/dir/file.txt", 200, b"dir file"),
    ("/app/", 200, b"the app"),
    ("/app/main.js", 200, b"main"),
    ("/app/some/route", 200, b"the app"),
    ("/app/some/route?x=1", 200, b"the app"),
    ("/none", 404, None),
    ("/dir/none.txt", 404, None),
    ("/none/file.txt", 404, None),
    ("/dir/file.txt/", 404, None),
    ("/dir/file.txt/more", 404, None),
    ("/DIR/file.txt", 404, None),
    ("/dir/FILE.txt", 404, None),
    ("/assets/none", 404, None),
    ("/" + "n" * 300, 404, None),
    ("/" + "n/" * 3000, 404, None),
    ("/dangling", 404, None),
    ("/loop", 404, None),
    ("/pipe", 404, None),
    ("/bare/", 404, None),
])
def test_paths(gateway, target, status, body):
    """config.md, `files` and Routes: decoded once, parameters left out, slashes joined, case kept; the route's literal
    segments are taken off, but an exact pattern keeps its last."""
    with gateway.connect() as connection:
        response = connection.get(target)
        assert response.status == status, response
        if body is not None:
            assert response.body == body
            assert response.fields["Content-Length"] == str(len(body))
        head = connection.request("HEAD", target)
        assert (head.status, head.fields.get("Content-Length")) == (status, response.fields.get("Content-Length"))
        assert connection.get("/dir/file.txt").body == b"dir file"


@pytest.mark.parametrize("target", ["/dir", "/dir?a=1&b=//x", "/link/dir?x", "//dir", "/%64ir", "/./dir", "/dirlink",
                                    "/dir;p=1"])
def test_a_directory_without_its_slash_is_redirected(gateway, target):
    """config.md: redirected to the same path with a slash, with its query, on this host (never `//`)."""
    response = gateway.get(target)
    assert response.status in (301, 302, 307, 308)
    location = response.fields["Location"]
    assert not location.startswith(("//", "/\\"))
    absolute = urljoin(f"http://test{re.sub('^/+', '/', target)}", location)
    path, _, query = target.partition("?")
    assert absolute.startswith("http://test/") and absolute.partition("?")[0].endswith("/"), location
    assert absolute.partition("?")[2] == query
    with gateway.connect() as connection:
        follow = connection.get(absolute[len("http://test"):])
        assert (follow.status, follow.body) == (200, b"dir index")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "FROB"])
def test_other_methods_are_405_with_allow(gateway, method):
    """RFC 9110 15.5.6: Allow lists what is allowed, and nothing changes on disk."""
    response = gateway.request(method, "/dir/file.txt", body=b"x")
    assert response.status == 405
    assert {"get", "head"} <= set(response.fields.tokens("Allow"))
    assert gateway.get("/dir/file.txt").body == b"dir file"


def test_a_fallback_is_for_get_only(gateway):
    """config.md: the fallback serves pages, it does not take a POST."""
    assert gateway.request("POST", "/app/some/route", body=b"x").status == 405


@pytest.mark.parametrize("name, types", [
    ("x.html", {"text/html"}), ("x.css", {"text/css"}), ("x.js", {"text/javascript"}), ("x.mjs", {"text/javascript"}),
    ("x.json", {"application/json"}), ("x.svg", {"image/svg+xml"}), ("x.png", {"image/png"}), ("x.jpg", {"image/jpeg"}),
    ("x.jpeg", {"image/jpeg"}), ("x.gif", {"image/gif"}), ("x.webp", {"image/webp"}), ("x.avif", {"image/avif"}),
    ("x.woff2", {"font/woff2"}), ("x.wasm", {"application/wasm"}), ("x.txt", {"text/plain"}),
    ("x.pdf", {"application/pdf"}), ("x.mp4", {"video/mp4"}), ("x.webm", {"video/webm"}), ("x.mp3", {"audio/mpeg"}),
    ("x.xml", {"application/xml", "text/xml"}), ("x.ico", {"image/x-icon", "image/vnd.microsoft.icon"}),
    ("x.zip", {"application/zip"}), ("x.tar.gz", {"application/gzip", "application/x-gzip"}),
    ("x.unknown-extension", {"application/octet-stream"}), ("noextension", {"application/octet-stream"}),
])
def test_media_types(gateway, name, types):
    """RFC 9110 8.3, RFC 9239 (JavaScript): the extension decides, and what it decodes to is never guessed."""
    response = gateway.get("/types/" + name)
    assert response.fields["Content-Type"].partition(";")[0].lower() in types
    assert "Content-Encoding" not in response.fields


def test_the_extension_counts_in_any_case(gateway):
    """User promise: INDEX.HTML is a page too."""
    assert gateway.get("/UPPER.HTML").fields["Content-Type"].startswith("text/html")


# What never leaves the directory

@pytest.mark.parametrize("target, statuses", [
    ("/../secret.txt", {400, 404}), ("/../../../../../../etc/passwd", {400, 404}), ("/dir/../../secret.txt", {400, 404}),
    ("/%2e%2e/secret.txt", {400, 404}), ("/.%2e/secret.txt", {400, 404}), ("/%2E./secret.txt", {400, 404}),
    ("/dir/%2e%2e/%2e%2e/secret.txt", {400, 404}),
    ("/..%2fsecret.txt", {400}), ("/%2e%2e%2fsecret.txt", {400}), ("/dir%2f..%2f..%2fsecret.txt", {400}),
    ("/dir/..%2F../secret.txt", {400}), ("/dir/%2e%2e%2f%2e%2e%2fsecret.txt", {400}), ("/.%2Fdir", {400}),
    ("/..;/secret.txt", {400}), ("/dir/..;x=1/..;/secret.txt", {400}), ("/.;/x", {400}), ("/%2e%2e;/secret.txt", {400}),
    ("/..%3b/secret.txt", {400, 404}),
    ("/..%5csecret.txt", {400}), ("/dir%5Cfile.txt", {400}), ("/..\\secret.txt", {400}), ("/%5c%5chost/share", {400}),
    ("/%00", {400}), ("/secret.txt%00.html", {400}), ("/index.html%00", {400}), ("/dir/file.txt%00/", {400}),
    ("/%", {400}), ("/%2", {400}), ("/%zz", {400}), ("/dir/%u002e", {400}), ("/100%.txt", {400}),
    ("/%252e%252e/secret.txt", {404}), ("/%252e%252e%252fsecret.txt", {404}), ("/%25%32%65%25%32%65/secret.txt", {404}),
    ("/..%252fsecret.txt", {404}), ("/%c0%ae%c0%ae/secret.txt", {400, 404}), ("/%e0%80%ae%e0%80%ae/secret.txt", {400, 404}),
    ("/..%c0%af../secret.txt", {400, 404}), ("/....//secret.txt", {400, 404}), ("/.../secret.txt", {400, 404}),
    ("//../secret.txt", {400, 404}), ("/dir//../../secret.txt", {400, 404}), ("/root-sibling/secret.txt", {404}),
    ("/../root-sibling/secret.txt", {404, 400}), ("/assets/../secret.txt", {404}), ("/assets/..%2fsecret.txt", {400}),
    ("/assets../secret.txt", {404}), ("/assets%2f..%2f..%2fsecret.txt", {400}),
    ("/outside", {404}), ("/etc/passwd", {404}), ("/etc", {404}), ("/up/secret.txt", {404}), ("/up/", {404}),
    ("/app/../../secret.txt", {400, 404}), ("/link/../../secret.txt", {400, 404}), ("/link/outside", {404}),
    ("/deep/path/dir/../../../../secret.txt", {400, 404}),
    ("/.secret", {404}), ("/.git/config", {404}), ("/%2esecret", {404}), ("/%2egit/config", {404}), ("/..double", {404}),
    ("/dir/.hidden", {404}), ("/.git", {404}), ("/.git/", {404}), ("/.well-known/../.secret", {404}), ("/.secret;x", {404}),
    ("//.secret", {404}), ("/dir%2f.hidden", {404}), ("/inside/../.secret", {404}),
    ("/..", {200, 400, 404}), ("/.", {200}), ("/dir/..", {200}),
])
def test_nothing_outside_or_hidden_is_served(gateway, target, statuses):
    """config.md, Routes: `%00`, `%5C`, a bad escape and a new dot segment are 400; links that leave DIR and hidden files
    are 404; whatever the status, no byte of the secret."""
    response = gateway.get(target)
    assert response.status in statuses, response
    assert SECRET not in response.body and b"root:" not in response.body


# Conditions (RFC 9110 13)

@pytest.fixture(scope="module")
def validators(shared):
    response = shared.get("/data.bin")
    return response.fields["ETag"], response.fields["Last-Modified"]


def test_validators_are_sent(gateway, validators):
    """RFC 9110 8.8: the modification time and a strong entity tag, the same every time and for HEAD."""
    tag, modified = validators
    assert re.fullmatch(r'"[\x21\x23-\x7e]+"', tag), tag
    assert email.utils.parsedate_to_datetime(modified).timestamp() == OLD
    for method in ("GET", "HEAD"):
        fields = gateway.request(method, "/data.bin").fields
        assert (fields["ETag"], fields["Last-Modified"]) == validators


EARLIER = email.utils.formatdate(OLD - 3600, usegmt=True)
LATER = email.utils.formatdate(OLD + 3600, usegmt=True)


@pytest.mark.parametrize("fields, status", [
    ({"If-None-Match": "TAG"}, 304),
    ({"If-None-Match": "W/TAG"}, 304),
    ({"If-None-Match": '"x", TAG'}, 304),
    ({"If-None-Match": '"x,y", "z" ,TAG'}, 304),
    ({"If-None-Match": "*"}, 304),
    ({"If-None-Match": '"x"'}, 200),
    ({"If-None-Match": "LONGER"}, 200),
    ({"If-None-Match": ""}, 200),
    ({"If-Modified-Since": "DATE"}, 304),
    ({"If-Modified-Since": LATER}, 304),
    ({"If-Modified-Since": EARLIER}, 200),
    ({"If-Modified-Since": "yesterday"}, 200),
    ({"If-Modified-Since": "0"}, 200),
    ({"If-None-Match": '"x"', "If-Modified-Since": LATER}, 200),
    ({"If-None-Match": "TAG", "If-Modified-Since": EARLIER}, 304),
    ({"If-Match": "TAG"}, 200),
    ({"If-Match": '"x", TAG'}, 200),
    ({"If-Match": "*"}, 200),
    ({"If-Match": '"x"'}, 412),
    ({"If-Match": "W/TAG"}, 412),
    ({"If-Unmodified-Since": "DATE"}, 200),
    ({"If-Unmodified-Since": LATER}, 200),
    ({"If-Unmodified-Since": EARLIER}, 412),
    ({"If-Unmodified-Since": "yesterday"}, 200),
    ({"If-Match": "TAG", "If-Unmodified-Since": EARLIER}, 200),
    ({"If-Match": "TAG", "If-None-Match": "TAG"}, 304),
    ({"If-Match": '"x"', "If-None-Match": "TAG"}, 412),
    ({"If-None-Match": "TAG", "Range": "bytes=0-9"}, 304),
    ({"If-Modified-Since": "Sunday, 13-Sep-20 12:26:40 GMT"}, 304),
    ({"If-Modified-Since": "Sun Sep 13 12:26:40 2020"}, 304),
], ids=str)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_conditions(gateway, validators, method, fields, status):
    """RFC 9110 13.1, 13.2.2: each precondition, their order, weak and strong comparison, and the three date formats."""
    tag, modified = validators
    sent = [(n, v.replace("LONGER", tag[:-1] + 'x"').replace("TAG", tag).replace("DATE", modified)) for n, v in fields.items()]
    with gateway.connect() as connection:
        response = connection.request(method, "/data.bin", fields=sent)
        assert response.status == status
        if status == 304:
            assert response.fields["ETag"] == tag  # RFC 9110 15.4.5
        assert connection.get("/dir/file.txt").body == b"dir file"


# Ranges (RFC 9110 14)

SIZE = len(DATA)


@pytest.mark.parametrize("value, start, stop", [
    ("bytes=0-0", 0, 1), ("bytes=0-99", 0, 100), ("bytes=100-199", 100, 200), ("bytes=9999-", 9999, SIZE),
    ("bytes=500-", 500, SIZE), ("bytes=-1", SIZE - 1, SIZE), ("bytes=-100", SIZE - 100, SIZE),
    ("bytes=-20000", 0, SIZE), ("bytes=0-99999999999", 0, SIZE), ("bytes=9000-10000", 9000, SIZE),
    ("bytes= 0-9", 0, 10), ("BYTES=0-9", 0, 10), ("bytes=0-9,", 0, 10), ("bytes=20000-,0-9", 0, 10),
    ("bytes=0-9223372036854775807", 0, SIZE),
])
def test_a_single_range(gateway, value, start, stop):
    """RFC 9110 14.1.2, 15.3.7.1: the bytes, their place in the whole, and nothing else."""
    with gateway.connect() as connection:
        response = connection.get("/data.bin", Range=value)
        assert response.status == 206, response
        assert response.body == DATA[start:stop]
        assert response.fields["Content-Range"] == f"bytes {start}-{stop - 1}/{SIZE}"
        assert response.fields["ETag"] and response.fields["Last-Modified"]
        assert connection.get("/dir/file.txt").body == b"dir file"


@pytest.mark.parametrize("target, value, statuses", [
    ("/data.bin", "bytes=10000-", {416}), ("/data.bin", "bytes=20000-30000", {416}), ("/data.bin", "bytes=-0", {416}),
    ("/data.bin", "bytes=99999999999999999999-", {416, 200}), ("/data.bin", "bytes=10000-,20000-", {416}),
    ("/data.bin", "bytes=9-5", {416, 200}), ("/data.bin", "bytes=a-b", {416, 200}), ("/data.bin", "bytes=-", {416, 200}),
    ("/data.bin", "bytes=", {416, 200}), ("/data.bin", "bytes=1", {416, 200}), ("/data.bin", "bytes=+1-5", {416, 200}),
    ("/data.bin", "bytes=0-5;1", {416, 200}), ("/data.bin", "bytes 0-5", {200}), ("/data.bin", "items=0-5", {200}),
    ("/data.bin", "0-5", {200}), ("/empty.txt", "bytes=0-", {416, 200}), ("/empty.txt", "bytes=-5", {416, 200}),
])
def test_a_range_that_cannot_be_served(gateway, target, value, statuses):
    """RFC 9110 14.2, 15.5.17: unsatisfiable is 416 with the size; an unknown unit is ignored."""
    response = gateway.get(target, fields=[("Range", value)])
    assert response.status in statuses, response
    size = len(DATA) if "data" in target else 0
    if response.status == 416:
        assert response.fields["Content-Range"] == f"bytes */{size}"
    else:
        assert len(response.body) == size


def parts_of(response):
    match = re.match(r'multipart/byteranges; *boundary="?([^";]+)"?$', response.fields["Content-Type"])
    assert match, response.fields["Content-Type"]
    boundary = match.group(1).encode()
    body = b"\r\n" + response.body if not response.body.startswith(b"\r\n") else response.body
    pieces = body.split(b"\r\n--" + boundary)
    assert pieces[0] == b"" and pieces[-1].startswith(b"--"), response.body[-100:]
    result = []
    for piece in pieces[1:-1]:
        head, _, content = piece.lstrip(b"\r\n").partition(b"\r\n\r\n")
        place = re.search(rb"(?im)^content-range: *bytes (\d+)-(\d+)/(\d+)", head)
        assert place and int(place.group(3)) == SIZE
        assert re.search(rb"(?im)^content-type:", head), head
        result.append((int(place.group(1)), int(place.group(2)) + 1, content))
    return result


@pytest.mark.parametrize("value, expected", [
    ("bytes=0-9,20-29", [(0, 10), (20, 30)]),
    ("bytes=0-0, 5000-5009 ,-10", [(0, 1), (5000, 5010), (SIZE - 10, SIZE)]),
    ("bytes=20-29,0-9", [(20, 30), (0, 10)]),
    ("bytes=0-9,30000-,20-29", [(0, 10), (20, 30)]),
])
def test_multiple_ranges(gateway, value, expected):
    """RFC 9110 14.6, 15.3.7.2: multipart/byteranges with a length that is right and each part's place."""
    with gateway.connect() as connection:
        response = connection.get("/data.bin", Range=value)
        assert response.status == 206 and "Content-Range" not in response.fields
        parts = parts_of(response)
        assert sorted((a, b) for a, b, _ in parts) == sorted(expected)
        assert all(content == DATA[a:b] for a, b, content in parts)
        assert connection.request("HEAD", "/data.bin", fields=[("Range", value)]).status in (200, 206)
        assert connection.get("/dir/file.txt").body == b"dir file"


@pytest.mark.parametrize("value", [
    "bytes=" + ",".join(["0-"] * 200), "bytes=" + ",".join(f"{i}-" for i in range(1000)),
    "bytes=" + ",".join(f"{2 * i}-{2 * i}" for i in range(2000)), "bytes=0-9,5-14",
], ids=["whole 200 times", "1000 overlapping", "2000 single bytes", "two overlapping"])
def test_many_ranges_do_not_amplify(gateway, value):
    """RFC 9110 14.2, 17.15: many small or overlapping ranges are coalesced, ignored or refused, never amplified."""
    response = gateway.get("/data.bin", fields=[("Range", value)])
    assert response.status in (200, 206, 416, 431)
    assert len(response.body) <= 2 * SIZE


@pytest.mark.parametrize("value, status", [
    ("TAG", 206), ('"x"', 200), ("W/TAG", 200), ("DATE", 206), (EARLIER, 200), (LATER, 200), ("nonsense", 200),
])
def test_if_range(gateway, validators, value, status):
    """RFC 9110 13.1.5: the part if unchanged by a strong validator, else the whole."""
    value = value.replace("TAG", validators[0]).replace("DATE", validators[1])
    response = gateway.get("/data.bin", fields=[("Range", "bytes=0-9"), ("If-Range", value)])
    assert (response.status, len(response.body)) == (status, 10 if status == 206 else SIZE)


def test_ranges_are_announced_and_of_get_alone(gateway):
    """RFC 9110 14.3 (Accept-Ranges), 14.2: other methods ignore Range."""
    assert gateway.get("/data.bin").fields["Accept-Ranges"] == "bytes"
    head = gateway.request("HEAD", "/data.bin", fields=[("Range", "bytes=0-9")])
    assert head.status in (200, 206)
    if head.status == 200:
        assert head.fields["Content-Length"] == str(SIZE)


# Precompressed siblings (RFC 9110 12.5.3)

@pytest.mark.parametrize("accept, codings", [
    (None, {None}), ("", {None}), ("identity", {None}), ("gzip", {"gzip"}), ("br", {"br"}), ("zstd", {"zstd"}),
    ("GZIP", {"gzip"}), ("gzip, deflate, br", {"br", "gzip"}), ("gzip;q=1, br;q=0.5", {"gzip"}), ("gzip;q=0.5, br;q=1", {"br"}),
    ("gzip;q=0", {None}), ("gzip;q=0, br", {"br"}), ("br;q=0, gzip;q=0, zstd;q=0", {None}), ("deflate", {None}),
    ("*", {"br", "gzip", "zstd", None}), ("*;q=0, gzip", {"gzip"}), ("x-gzip", {"gzip", None}), ("gzip;q=nonsense", {"gzip", None}),
    ("gzip ; q=0.000", {None}), ("br;q=0.001", {"br", None}),
])
def test_precompressed_siblings(gateway, base, accept, codings):
    """config.md: `.br`, `.zst` or `.gz` beside a file, for who accepts it, with the media type of the file."""
    response = gateway.get("/app.js", fields=[("Accept-Encoding", accept)] if accept is not None else [])
    coding = response.fields.get("Content-Encoding")
    assert (response.status, coding in codings) == (200, True), response
    suffix = {None: "", "gzip": ".gz", "br": ".br", "zstd": ".zst"}[coding]
    assert response.body == (base / f"root/app.js{suffix}").read_bytes()
    assert response.fields["Content-Type"].startswith("text/javascript")
    assert "accept-encoding" in response.fields.tokens("Vary")  # RFC 9110 12.5.5: also of the plain one


def test_a_coding_that_is_not_there_is_not_sent(gateway):
    """A client that prefers br gets gzip where only that lies beside the file."""
    response = gateway.get("/only.css", fields=[("Accept-Encoding", "br, gzip")])
    assert (response.fields["Content-Encoding"], gzip.decompress(response.body)) == ("gzip", b"body{}")


def test_each_variant_has_its_own_tag_and_ranges(gateway):
    """RFC 9110 8.8.3.3, 14.2: a tag names one representation, and a range is of that one."""
    plain = gateway.get("/app.js")
    packed = gateway.get("/app.js", fields=[("Accept-Encoding", "gzip")])
    assert plain.fields["ETag"] != packed.fields["ETag"]
    for tag, accept, status in ((packed.fields["ETag"], "gzip", 304), (plain.fields["ETag"], "gzip", 200)):
        fields = [("Accept-Encoding", accept), ("If-None-Match", tag)]
        response = gateway.get("/app.js", fields=fields)
        assert response.status == status
        assert "accept-encoding" in response.fields.tokens("Vary")
    part = gateway.get("/app.js", fields=[("Accept-Encoding", "gzip"), ("Range", "bytes=0-9")])
    assert part.status == 206 and part.body in (packed.body[:10], plain.body[:10])
    assert (part.fields.get("Content-Encoding") == "gzip") == (part.body == packed.body[:10])


def test_a_compressed_file_asked_for_by_name_is_itself(gateway, base):
    """A download of app.js.gz is a gzip file, not JavaScript to be unpacked."""
    response = gateway.get("/app.js.gz", fields=[("Accept-Encoding", "gzip")])
    assert response.body == (base / "root/app.js.gz").read_bytes()
    assert "Content-Encoding" not in response.fields
    assert response.fields["Content-Type"] in ("application/gzip", "application/x-gzip")
    assert gateway.get("/lonely.txt", fields=[("Accept-Encoding", "gzip")]).status in (200, 404)
