"""A Flask application as people write them; run by gunicorn."""

import hashlib
import time

from flask import Flask, Response, jsonify, redirect, request, session, stream_with_context

app = Flask(__name__)
app.secret_key = "only for tests"
BLOCK = hashlib.shake_256(b"chimera").digest(65521)


@app.get("/")
def index():
    return "<h1>Flask</h1>"


@app.post("/form")
def form():
    return jsonify({"form": request.form.to_dict(), "files": {n: len(f.read()) for n, f in request.files.items()}})


@app.route("/counter", methods=["GET", "POST"])
def counter():
    session["count"] = session.get("count", 0) + 1
    return jsonify(count=session["count"])


@app.get("/away")
def away():
    return redirect("/somewhere?x=1")


@app.get("/who")
def who():
    return jsonify(address=request.headers.get("X-Forwarded-For"), scheme=request.headers.get("X-Forwarded-Proto"),
                   host=request.host, url=request.full_path)


@app.put("/upload")
def upload():
    digest, count = hashlib.sha256(), 0
    while block := request.stream.read(1 << 20):
        digest.update(block)
        count += len(block)
    return jsonify(count=count, sha256=digest.hexdigest())


@app.get("/download/<int:count>")
def download(count):
    def blocks():
        left = count
        while left > 0:
            yield BLOCK[:left]
            left -= min(left, len(BLOCK))
    return Response(blocks(), headers={"Content-Length": str(count)} if "length" in request.args else {})


@app.get("/events")
def events():
    def stream():
        for number in range(5):
            yield f"data: {number} {time.time()}\n\n"
            time.sleep(0.2)
    return Response(stream_with_context(stream()), mimetype="text/event-stream")


@app.get("/fails")
def fails():
    raise RuntimeError("as applications do")
