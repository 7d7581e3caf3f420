#!/usr/bin/env python3
"""A small web application to stand behind the gateway; Python's standard library alone.

    backend.py --port 9001 --name lion

    GET  /                         a greeting in JSON, with the name of the backend that answered
    ANY  /headers                  the request as it arrived here
    GET  /events?count=&every=     server-sent events: `count` of them (endless), one each `every` seconds (1)
    ANY  /upload                   counts the bytes of a body, however it is framed
    GET  /download?bytes=N         N bytes
    GET  /slow?seconds=S           an answer that takes its time
    GET  /status/NNN               an answer with that status
    GET  /ws                       a WebSocket that sends back what it gets (RFC 6455)
    GET  /healthz                  200 while it lives

It listens on 127.0.0.1 unless told otherwise, prints one line when it is ready, and ends on SIGTERM.
"""
import argparse
import base64
import hashlib
import http.server
import json
import os
import signal
import struct
import sys
import threading
import time
import urllib.parse

CHUNK = 64 * 1024
BODY_BYTES_MAX = 1 << 40
EVENTS_MAX = 1_000_000
MESSAGE_BYTES_MAX = 1 << 20


class BadRequest(Exception):
    pass


class Backend(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = CHUNK
    timeout = 3600

    # ------------------------------------------------------------------ requests

    def answer(self):
        url = urllib.parse.urlsplit(self.path)
        self.query = dict(urllib.parse.parse_qsl(url.query))
        self.server.count()
        first = "/" + url.path.lstrip("/").partition("/")[0]
        page = self.pages.get(first)
        try:
            if page is None:
                self.drop_body()
                self.send_json(404, {"error": "no such page", "path": url.path})
            else:
                page(self)
        except (BadRequest, ValueError) as problem:
            self.close_connection = True
            self.send_json(400, {"error": str(problem)})
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def hello(self):
        self.drop_body()
        self.send_json(200, {
            "hello": "from a backend behind Chimera",
            "backend": self.server.backend_name,
            "requests": self.server.requests,
            "try": ["/headers", "/events?count=3", "/upload", "/download?bytes=1000000", "/slow?seconds=2", "/ws"],
        })

    def show_headers(self):
        self.drop_body()
        self.send_json(200, {
            "backend": self.server.backend_name,
            "method": self.command,
            "target": self.path,
            "version": self.request_version,
            "headers": [f"{name}: {value}" for name, value in self.headers.items()],
        })

    def upload(self):
        start, size, digest = time.monotonic(), 0, hashlib.sha256()
        for part in self.body():
            size += len(part)
            digest.update(part)
        self.send_json(200, {
            "backend": self.server.backend_name, "bytes": size, "sha256": digest.hexdigest(),
            "seconds": round(time.monotonic() - start, 3),
        })

    def download(self):
        self.drop_body()
        left = int(self.query.get("bytes", "1000"))
        if not 0 <= left <= BODY_BYTES_MAX:
            raise BadRequest("bytes must be a number from 0 to 1099511627776")
        self.begin(200, "application/octet-stream", left)
        block = bytes(33 + i * 7 % 90 for i in range(CHUNK))
        while left and self.command != "HEAD":
            self.wfile.write(block[:left])
            left -= min(left, CHUNK)
        self.wfile.flush()

    def slow(self):
        self.drop_body()
        seconds = float(self.query.get("seconds", "1"))
        if not 0 <= seconds <= 600:
            raise BadRequest("seconds must be a number from 0 to 600")
        time.sleep(seconds)
        self.send_json(200, {"backend": self.server.backend_name, "seconds": seconds})

    def status(self):
        self.drop_body()
        status = int(self.path.partition("?")[0].rpartition("/")[2])
        if not 200 <= status <= 599:
            raise BadRequest("a status is a number from 200 to 599")
        if status in (204, 304):
            self.send_response(status)
            self.end_headers()
            self.wfile.flush()
        else:
            self.send_json(status, {"backend": self.server.backend_name, "status": status})

    def health(self):
        self.drop_body()
        self.send_json(200, {"backend": self.server.backend_name, "healthy": True})

    def events(self):
        self.drop_body()
        count = int(self.query.get("count", EVENTS_MAX))
        every = float(self.query.get("every", "1"))
        if not (0 <= count <= EVENTS_MAX and 0 <= every <= 3600):
            raise BadRequest("count or every is out of range")
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        chunked = self.request_version == "HTTP/1.1"
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.close_connection = True
        self.end_headers()
        self.wfile.flush()
        if self.command == "HEAD":
            return
        for number in range(1, count + 1):
            data = json.dumps({"backend": self.server.backend_name, "number": number,
                               "time": time.strftime("%H:%M:%S")})
            event = f"id: {number}\nevent: tick\ndata: {data}\n\n".encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event) if chunked else event)
            self.wfile.flush()
            if number < count:
                time.sleep(every)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")
            self.wfile.flush()

    # ------------------------------------------------------------------ WebSocket (RFC 6455)

    def websocket(self):
        key = self.headers.get("Sec-WebSocket-Key")
        if self.headers.get("Upgrade", "").lower() != "websocket" or not key:
            self.drop_body()
            self.send_response(426)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.send_header("Content-Length", "0")
            self.end_headers()
            self.wfile.flush()
            return
        self.close_connection = True
        accept = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(accept).decode())
        self.end_headers()
        self.wfile.flush()
        kind, message = 0, b""
        while True:
            final, opcode, payload = self.read_frame()
            if opcode == 8:
                self.send_frame(8, payload[:2])
                return
            if opcode == 9:
                self.send_frame(10, payload)
            elif opcode in (0, 1, 2):
                kind, message = (opcode or kind), message + payload
                if len(message) > MESSAGE_BYTES_MAX:
                    self.send_frame(8, struct.pack("!H", 1009))
                    return
                if final:
                    self.send_frame(kind, message)
                    kind, message = 0, b""

    def read_frame(self):
        """(final, opcode, payload) of one frame; a client's frames are masked (§5.1)."""
        first, second = self.exactly(2)
        size = second & 127
        if size == 126:
            size, = struct.unpack("!H", self.exactly(2))
        elif size == 127:
            size, = struct.unpack("!Q", self.exactly(8))
        if not second & 128 or size > MESSAGE_BYTES_MAX:
            raise ConnectionError("an unmasked or an oversized frame")
        mask = self.exactly(4)
        data = self.exactly(size)
        whole = (mask * (size // 4 + 1))[:size]
        plain = (int.from_bytes(data, "big") ^ int.from_bytes(whole, "big")).to_bytes(size, "big")
        return bool(first & 128), first & 15, plain

    def send_frame(self, opcode, payload):
        size = len(payload)
        if size < 126:
            head = struct.pack("!BB", 128 | opcode, size)
        elif size < 65536:
            head = struct.pack("!BBH", 128 | opcode, 126, size)
        else:
            head = struct.pack("!BBQ", 128 | opcode, 127, size)
        self.wfile.write(head + payload)
        self.wfile.flush()

    # ------------------------------------------------------------------ bodies

    def body(self):
        """The request's body in parts, by Content-Length or chunked (RFC 9112 §6, §7.1)."""
        self.wfile.flush()  # What a client with `Expect: 100-continue` waits for.
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while True:
                size = int(self.rfile.readline(1000).split(b";")[0], 16)
                if size == 0:
                    while self.rfile.readline(10_000) not in (b"\r\n", b"\n", b""):
                        pass
                    return
                yield from self.parts(size)
                self.exactly(2)
        else:
            yield from self.parts(int(self.headers.get("Content-Length", "0")))

    def parts(self, size):
        while size:
            part = self.rfile.read1(min(size, CHUNK))
            if not part:
                raise ConnectionError("the body ended early")
            size -= len(part)
            yield part

    def exactly(self, size):
        data = self.rfile.read(size)
        if len(data) < size:
            raise ConnectionError("the connection ended early")
        return data

    def drop_body(self):
        for _ in self.body():
            pass

    # ------------------------------------------------------------------ answers

    def begin(self, status, kind, size):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(size))
        self.send_header("X-Backend", self.server.backend_name)
        self.end_headers()

    def send_json(self, status, value):
        data = json.dumps(value, indent=2).encode() + b"\n"
        self.begin(status, "application/json", len(data))
        if self.command != "HEAD":
            self.wfile.write(data)
        self.wfile.flush()

    def version_string(self):
        return "sample-backend"

    def log_message(self, *_):
        pass  # The gateway's access log tells who asked for what.

    pages = {
        "/": hello, "/headers": show_headers, "/events": events, "/upload": upload, "/download": download,
        "/slow": slow, "/status": status, "/ws": websocket, "/healthz": health,
    }


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, address, name):
        self.backend_name, self.requests, self.lock = name, 0, threading.Lock()
        super().__init__(address, Backend)

    def count(self):
        with self.lock:
            self.requests += 1

    def handle_error(self, request, client_address):
        problem = sys.exc_info()[1]
        if not isinstance(problem, (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one")
    parser.add_argument("--name", default="backend")
    options = parser.parse_args()
    # Streams may be endless, so nothing waits for the threads that serve them.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    try:
        server = Server((options.address, options.port), options.name)
    except OSError as problem:
        sys.exit(f"backend {options.name}: port {options.port}: {problem.strerror}")
    print(f"backend {options.name} listens on {options.address}:{server.server_address[1]}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
