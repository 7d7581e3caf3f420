"""What the clients of a storm ask for: requests of every kind at random, and what is expected of their answers."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from .http2 import INTERNAL_ERROR, NO_ERROR
from .stress_origin import LINK, content, digest

LARGE = 1_500_000
FILES = {"small": 300, "medium": 40_000, "large": LARGE, "empty": 0}
"""The files of the site and their sizes; `content(SIZE)` is in them."""


@dataclass
class Ask:
    """A request and what is expected of its answer."""
    kind: str
    target: str
    method: str = "GET"
    fields: list = field(default_factory=list)
    body: bytes | None = None
    status: tuple = (200,)
    expected: bytes | None = b""
    """The content of the answer; nil where any will do."""
    trailers: list | None = None
    interim: bool = False
    faults: tuple = ()
    """Codes by which the stream may end early, its content being the beginning of what is expected."""
    length: bool = True
    """The request says how long its body is."""
    sent: int = 0
    """Octets of the body that went out."""
    has_ended: bool = False
    tunnel: bytearray | None = None
    """What a tunnel was given."""

    def check(self, answer) -> None:
        """Holds a complete answer of HTTP/2 against what is expected."""
        body = bytes(answer.body)
        if answer.reset is not None and not (answer.reset == NO_ERROR and answer.ended and self.body is not None):
            assert answer.reset in self.faults, f"reset with {answer.reset}"
            assert answer.status in (0, *self.status) and (self.expected is None or self.expected.startswith(body))
            return
        assert answer.status in self.status, f"status {answer.status}, {body[:100]!r}"
        if answer.status != self.status[0] or self.expected is None:
            return
        expected = b"" if self.method == "HEAD" else self.expected
        assert body == expected, f"{len(body)} octets in place of {len(expected)}"
        length = answer.fields.get("content-length")
        assert length is None or int(length) == len(self.expected)
        assert answer.trailers == self.trailers or self.method == "HEAD"
        if self.interim:
            assert answer.informational and {line for line in answer.informational[-1][1]} == {("link", LINK)}


def ask(chance: random.Random) -> Ask:
    """A request of a random kind."""
    return chance.choice((_fine, _file, _file, _part, _unchanged, _missing, _proxied, _proxied, _proxied, _upload, _upload,
                          _unwanted, _early, _broken, _refused, _head))(chance)


def _number(chance) -> int:
    return chance.randrange(1 << 20)


def _size(chance) -> int:
    """Mostly small, sometimes large."""
    return int(chance.choice((0, 1, 100, 4000, 20_000, 70_000, 300_000, LARGE)) * chance.random())


def _fine(chance) -> Ask:
    return Ask("fine", f"/fine?{_number(chance)}", expected=b"fine", fields=[("x-pad", "y" * chance.randrange(300))])


def _file(chance) -> Ask:
    name = chance.choice(list(FILES))
    return Ask("file", f"/files/{name}", expected=content(FILES[name], FILES[name]))


def large_file(chance) -> Ask:
    return Ask("file", "/files/large", expected=content(LARGE, LARGE))


def _part(chance) -> Ask:
    name = chance.choice(("medium", "large"))
    first = chance.randrange(FILES[name])
    last = min(FILES[name] - 1, first + _size(chance))
    return Ask("part", f"/files/{name}", fields=[("range", f"bytes={first}-{last}")], status=(206,),
               expected=content(FILES[name], FILES[name])[first:last + 1])


def _unchanged(chance) -> Ask:
    return Ask("unchanged", "/files/medium", fields=[("if-none-match", "*")], status=(304,))


def _missing(chance) -> Ask:
    return Ask("missing", f"/files/{_number(chance)}", status=(404,), expected=None)


def _head(chance) -> Ask:
    asked = chance.choice((_fine, _file, _proxied))(chance)
    asked.method = "HEAD"
    return asked


def _proxied(chance) -> Ask:
    kind = chance.choice(("length", "length", "length", "chunked", "chunked", "close", "trailers", "slow", "events",
                          "nothing", "unchanged", "interim"))
    seed, count = _number(chance), _size(chance)
    if kind in ("slow", "events"):
        count = min(count, 3000)
    made = Ask(kind, f"/up/{kind}/{count}/{seed}", expected=content(seed, count))
    if kind == "nothing":
        made.status, made.expected = (204,), b""
    elif kind == "unchanged":
        made.status, made.expected = (304,), b""
    elif kind == "trailers":
        made.trailers = [("x-sum", str(count))]
    made.interim = kind == "interim"
    return made


def _upload(chance) -> Ask:
    seed = _number(chance)
    body = content(seed, _size(chance))
    return Ask("upload", f"/up/echo/0/{seed}", "POST", body=body, expected=digest(body), length=chance.random() < 0.5)


def _unwanted(chance) -> Ask:
    """A body that nobody wants: the answer comes, and the rest of the request is dropped or reset."""
    body = content(_number(chance), _size(chance))
    target, status, expected = chance.choice((("/fine", 200, b"fine"), ("/files/missing", 404, None),
                                              ("/files/small", 405, None)))
    return Ask("unwanted", target, "POST", body=body, status=(status, 405), expected=expected)


def _early(chance) -> Ask:
    seed, count = _number(chance), min(_size(chance), 20_000)
    # The upstream closes while the gateway sends: what it said may be lost with that.
    return Ask("early", f"/up/early/{count}/{seed}", "POST", body=content(seed, _size(chance)), status=(200, 502),
               expected=content(seed, count), faults=(INTERNAL_ERROR,))


def _broken(chance) -> Ask:
    kind = chance.choice(("cut", "reset", "garbage", "silence"))
    seed, count = _number(chance), min(_size(chance), 100_000)
    status = (200, 502) if kind in ("cut", "reset") else (502,)
    return Ask(kind, f"/broken/{kind}/{count}/{seed}", status=status, expected=content(seed, count) + b"\0" * 2
               if kind in ("cut", "reset") else None, faults=(INTERNAL_ERROR,))


def _refused(chance) -> Ask:
    return Ask("refused", "/refused/x", status=(502, 503), expected=None)


def tunnel(chance: random.Random) -> Ask:
    protocol = chance.choice(("websocket", "echo"))
    return Ask("tunnel", "/tunnel/0/0", "CONNECT", fields=[(":protocol", protocol)], expected=None, tunnel=bytearray())
