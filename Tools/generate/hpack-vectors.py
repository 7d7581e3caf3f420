#!/usr/bin/env python3
"""Writes Tests/HTTP2Tests/ReferenceVectors.swift: field blocks and conversations of a client and of a server as the
Python libraries hpack, hyperframe and h2 write them (pip install h2), for a cross-check of our own. The seed is fixed."""
import pathlib
import random

import h2.config
import h2.connection
import h2.events
import hpack

random.seed(7541)
NAMES = ["accept", "x-own", "cookie", "user-agent", "cache-control", "x-" + "long" * 9, ":path", "etag", "set-cookie"]
ALPHABETS = ["abcdefghijklmnopqrstuvwxyz0123456789-_/=", "ABC!$%&'()*+,.:;<>?@[]^`{|}~\"# ", "\u00e9\u00ff\u0080a"]


def value():
    alphabet = random.choice(ALPHABETS)
    text = "".join(random.choice(alphabet) for _ in range(random.choice([0, 1, 3, 9, 30, 100]))).strip()
    return text


def fields(pool):
    result = []
    for _ in range(random.randint(1, 8)):
        if pool and random.random() < 0.5:
            result.append(random.choice(pool))
        else:
            result.append((random.choice(NAMES), value()))
            pool.append(result[-1])
    return result


def sequence(index):
    encoder = hpack.Encoder()
    pool, rows = [], []
    for number in range(10):
        if index == 1 and number == 4:
            encoder.header_table_size = 100
        if index == 1 and number == 7:
            encoder.header_table_size = 4096
        headers = fields(pool)
        wire = [(n.encode(), v.encode("latin-1"), random.random() < 0.2) for n, v in headers]
        wire = [hpack.NeverIndexedHeaderTuple(n, v) if secret else hpack.HeaderTuple(n, v) for n, v, secret in wire]
        block = encoder.encode(wire, huffman=index != 2)
        lines = b"\n".join(n + b": " + v for n, v in wire)
        rows.append((block.hex(), lines.hex()))
    return rows


def conversation():
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    head = [(":method", "POST"), (":scheme", "https"), (":authority", "a.example"), (":path", "/upload?x=1")]
    client.send_headers(1, head + [("content-length", "10"), ("user-agent", "h2"), ("cookie", "a=b"), ("cookie", "c=d")])
    client.send_data(1, b"01234", pad_length=7)
    client.send_headers(3, [(":method", "GET")] + head[1:3] + [(":path", "/"), ("priority", "u=1, i")], end_stream=True,
                        priority_weight=16, priority_depends_on=1)
    client.send_data(1, b"56789")
    client.send_headers(1, [("checksum", "1" * 40)], end_stream=True)
    client.ping(b"12345678")
    client.max_outbound_frame_size = 100
    client.send_headers(5, head + [("x-big", "y" * 400)])
    client.reset_stream(5, error_code=8)
    client.increment_flow_control_window(1000)
    client.increment_flow_control_window(1000, stream_id=3)
    return client.data_to_send().hex()


def answers():
    """What a server says to REQUESTS."""
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    server.initiate_connection()
    server.receive_data(bytes.fromhex("".join(REQUESTS)))
    server.send_headers(1, [(":status", "103"), ("link", "</a>; rel=preload")])
    server.send_headers(1, [(":status", "200"), ("server", "h2"), ("set-cookie", "a=b")])
    server.send_data(1, b"01234", pad_length=7)
    server.streams[3].max_outbound_frame_size = 100
    server.send_headers(3, [(":status", "404"), ("server", "h2"), ("x-big", "y" * 400)], end_stream=True)
    server.send_data(1, b"56789")
    server.send_headers(1, [("checksum", "1" * 40)], end_stream=True)
    server.ping(b"12345678")
    server.reset_stream(7, error_code=7)
    server.increment_flow_control_window(1000)
    server.send_headers(5, [(":status", "200"), ("content-length", "7")], end_stream=True)
    server.close_connection(last_stream_id=7)
    return server.data_to_send().hex()


def wrapped(text):
    return [text[i:i + 100] for i in range(0, len(text), 100)]


# What our encoder writes (ReferenceTests.swift), block by block on one connection.
ENCODED = [
    "088264020f1092497ca589d34d1f6a1271d882a60b532acf7f1f2803613d621f118544e7b1300700851d09591dc9889d983f"
    "9b8d34cff30084f2b1fc550856616c756520c3bf0085f2b26c190b8c0044cb4db8ebcf8e3248597f008bf2b4b60e92ac7ad2"
    "63d48f0444454e59",
    "8d5f92497ca589d34d1f6a1271d882a60b532acf7f1f2803613d621f118544e7b1300740851d09591dc9889d983f9b8d34cf"
    "f34084f2b1fc550856616c756520c3bf4085f2b26c190b8c0044cb4db8ebcf8e3248597f408bf2b4b60e92ac7ad263d48f04"
    "44454e59",
    "203fa901488264025f92497ca589d34d1f6a1271d882a60b532acf7f1f2803613d621f118544e7b1300740851d09591dc988"
    "9d983f9b8d34cff34084f2b1fc550856616c756520c3bf4085f2b26c190b8c0044cb4db8ebcf8e3248597f408bf2b4b60e92"
    "ac7ad263d48f0444454e59",
    "488264025f92497ca589d34d1f6a1271d882a60b532acf7f1f2803613d621f118544e7b1300740851d09591dc9889d983f9b"
    "8d34cff34084f2b1fc550856616c756520c3bf4085f2b26c190b8c0044cb4db8ebcf8e3248597f408bf2b4b60e92ac7ad263"
    "d48f0444454e59",
]


def check_encoded():
    """That hpack understands what our encoder writes."""
    decoder = hpack.Decoder()
    for number, block in enumerate(ENCODED):
        fields = decoder.decode(bytes.fromhex(block), raw=True)
        assert [bytes(n) + b": " + bytes(v) for n, v in fields] == [
            b":status: " + (b"404" if number == 1 else b"302"), b"content-type: text/html; charset=utf-8",
            b"set-cookie: a=b", b"cookie: short=1", b'alt-svc: h3=":443"', "x-own: Value \u00ff".encode(),
            b"x-trace: 0123456789abcdef", b"x-frame-options: DENY"], fields
        secret = [bytes(f[0]) for f in fields if isinstance(f, hpack.NeverIndexedHeaderTuple)]
        assert secret == [b"set-cookie", b"cookie"], secret


# What our end writes that asks (ReferenceTests.swift).
REQUESTS = [
    "505249202a20485454502f322e300d0a0d0a534d0d0a0d0a0000180400000000000002000000000004000400000006000080",
    "0000090000000100000408000000000001ff0001000029010400000001838701871ae5f23a6ba0bf048962dae838e4ff3cc0",
    "1f0f2b8524e6a4b60f00027465864d833505b11f00000a0000000000013031323334353637383900000a0105000000010086",
    "24e527545b4f0131000013010500000003828741871ae5f23a6ba0bf847a8524e6a4b60f00000a0105000000050204484541",
    "4487bf84be0000150104000000070207434f4e4e454354018a8d72f91d35d05b8d34cf",
]


def check_requests():
    """That h2 understands them."""
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    server.initiate_connection()
    events = server.receive_data(bytes.fromhex("".join(REQUESTS)))
    heads = {e.stream_id: [bytes(n) + b": " + bytes(v) for n, v in e.headers]
             for e in events if isinstance(e, h2.events.RequestReceived)}
    scheme, authority = b":scheme: https", b":authority: a.example"
    assert heads == {
        1: [b":method: POST", scheme, authority, b":path: /upload?x=1", b"user-agent: chimera", b"te: trailers"],
        3: [b":method: GET", scheme, authority, b":path: /", b"user-agent: chimera"],
        5: [b":method: HEAD", scheme, authority, b":path: /", b"user-agent: chimera"],
        7: [b":method: CONNECT", b":authority: b.example:443"]}, heads
    assert [bytes(e.data) for e in events if isinstance(e, h2.events.DataReceived)] == [b"0123456789"]
    assert [[bytes(n) + b": " + bytes(v) for n, v in e.headers] for e in events
            if isinstance(e, h2.events.TrailersReceived)] == [[b"checksum: 1"]]
    assert [e.stream_id for e in events if isinstance(e, h2.events.StreamEnded)] == [1, 3, 5]


def main():
    check_encoded()
    check_requests()
    out = ["// Generated by Tools/generate/hpack-vectors.py; do not edit.", "",
           "/// What Python's hpack and h2 write, in hexadecimal.", "enum ReferenceVectors {",
           "    /// Sequences of blocks on one connection: each block, an equals sign, and its fields as lines.",
           "    static let sequences = ["]
    for index in range(3):
        out += ['        """', *("        " + line for line in wrapped(";".join("=".join(r) for r in sequence(index)))),
                '        """,']
    out += ["    ]", "", "    /// What our encoder writes and hpack decodes.", "    static let encoded = ["]
    for block in ENCODED:
        out += ['        """', *("        " + line for line in wrapped(block)), '        """,']
    out += ["    ]"]
    for comment, name, octets in [
            ("Octets of a client of h2.", "conversation", conversation()),
            ("What our end that asks writes, and h2 understands.", "requests", "".join(REQUESTS)),
            ("What a server of h2 says to that.", "answers", answers())]:
        out += ["", f"    /// {comment}", f'    static let {name} = """',
                *("        " + line for line in wrapped(octets)), '        """']
    out += ["}", ""]
    path = pathlib.Path(__file__).parents[2] / "Tests/HTTP2Tests/ReferenceVectors.swift"
    path.write_text("\n".join(out))


main()
