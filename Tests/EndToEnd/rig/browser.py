"""Headless Chromium, told what to do over its DevTools protocol."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import threading
from contextlib import ExitStack
from pathlib import Path

from websockets.sync.client import connect

from .client import wait_until
from .programs import program

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--no-proxy-server", "--hide-scrollbars",
         "--host-resolver-rules=MAP *.localhost 127.0.0.1, MAP localhost 127.0.0.1, MAP * ~NOTFOUND"]
KEYS = {"Enter": 13, "Backspace": 8, "Home": 36, "ArrowLeft": 37, "ArrowUp": 38, "ArrowDown": 40}
PATIENCE = 60.0
"""Seconds for any one step: a browser on a busy machine."""


def chromium() -> str:
    return program("chromium", "chromium-browser", "google-chrome")


def trust(home: Path, authority: Path) -> None:
    """Has every browser whose home this is believe the authority, and nobody else's."""
    store = home / ".pki/nssdb"
    store.mkdir(parents=True)
    for words in (["-N", "--empty-password"], ["-A", "-t", "C,,", "-n", "authority", "-i", str(authority)]):
        done = subprocess.run([program("certutil"), "-d", f"sql:{store}", *words], capture_output=True, text=True,
                              timeout=PATIENCE)
        assert done.returncode == 0, done.stderr


class Browser:
    """One browser with one page. `home` is where it looks for certificates to trust."""

    def __init__(self, directory: Path, home: Path, width: int = 1280, height: int = 900):
        self._process = subprocess.Popen(
            [chromium(), *FLAGS, f"--user-data-dir={directory}/profile", "--remote-debugging-port=0",
             f"--window-size={width},{height}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            # All that it starts is of one group, which ends with it.
            start_new_session=True, env={**os.environ, "HOME": str(home)})
        self._held = ExitStack()
        try:
            self._socket = self._held.enter_context(connect(self._address(), max_size=None, open_timeout=PATIENCE))
            # What it says later must not fill the pipe.
            threading.Thread(target=self._process.stderr.read, daemon=True).start()
            self._number, self._events = 0, []
            target = self._call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            self._page("Page.enable")
            self._page("Page.setLifecycleEventsEnabled", enabled=True)
        except BaseException:
            self._kill()
            self._held.close()
            raise

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_):
        try:
            self._call("Browser.close")
            self._process.wait(PATIENCE)
        finally:
            self._kill()
            self._held.close()

    def open(self, url: str) -> str:
        """Goes there and waits until the page has loaded. Returns why it does not, such as `net::ERR_CERT_…`, or ``""``."""
        self._events.clear()
        answer = self._page("Page.navigate", url=url)
        if error := answer.get("errorText"):
            return error
        # Of this page, and not of the empty one before it.
        while not any(event["method"] == "Page.lifecycleEvent" and event["params"]["name"] == "load"
                      and event["params"]["loaderId"] == answer["loaderId"] for event in self._events):
            self._receive()
        return ""

    def reload(self) -> None:
        """Loads the page again, and waits until it has loaded."""
        self._events.clear()
        self._page("Page.reload")
        while not any(event["method"] == "Page.lifecycleEvent" and event["params"]["name"] == "load"
                      for event in self._events):
            self._receive()

    def evaluate(self, expression: str):
        """The value of an expression of JavaScript on the page."""
        answer = self._page("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def text(self) -> str:
        """What a person reads on the page."""
        return self.evaluate("document.body.innerText")

    def await_text(self, pattern: str) -> str:
        return wait_until(lambda: re.search(pattern, self.text()) and self.text(), PATIENCE, f"{pattern!r} on the page", 0.1)

    def press(self, key: str, modifiers: int = 0) -> None:
        """Presses a key, a character or a name such as `Enter`, on whatever has the focus. `modifiers`: 2 is Control."""
        # The codes of letters and digits are their own; those of other characters are other keys'.
        code = KEYS.get(key, ord(key.upper()) if len(key) == 1 and key.isascii() and key.isalnum() else 0)
        text = {"text": "\r" if key == "Enter" else key} if (len(key) == 1 or key == "Enter") and not modifiers else {}
        self._page("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, modifiers=modifiers,
                   **text)
        self._page("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code, modifiers=modifiers)

    def type(self, text: str) -> None:
        for character in text:
            self.press("Enter" if character == "\n" else character)

    def click(self, x: float, y: float) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            self._page("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def resize(self, width: int, height: int) -> None:
        self._page("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def complaints(self) -> list[str]:
        """What the browser has to say against the page: its policy was broken, something was not found."""
        self._page("Log.enable")
        entries = [event["params"]["entry"] for event in self._events if event["method"] == "Log.entryAdded"]
        return [entry["text"] for entry in entries if entry["level"] == "error"]

    def protocols(self) -> dict[str, str]:
        """What was loaded since the page was opened, and by which protocol; what came from a cache has none."""
        return self.evaluate("""Object.fromEntries(
            [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
                .map(entry => [entry.name, entry.nextHopProtocol]))""")

    def screenshot(self, path: Path) -> bytes:
        picture = base64.b64decode(self._page("Page.captureScreenshot")["data"])
        path.write_bytes(picture)
        return picture

    def _address(self) -> str:
        said = ""
        for line in self._process.stderr:
            said += line
            if match := re.search(r"DevTools listening on (ws://\S+)", line):
                return match.group(1)
        raise AssertionError(f"the browser does not start:\n{said[-3000:]}")

    def _page(self, method: str, **parameters) -> dict:
        return self._call(method, self._session, **parameters)

    def _call(self, method: str, session: str | None = None, **parameters) -> dict:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        self._socket.send(json.dumps(message | ({"sessionId": session} if session else {})))
        while (answer := self._receive()).get("id") != self._number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def _receive(self) -> dict:
        message = json.loads(self._socket.recv(PATIENCE))
        if "method" in message:
            self._events.append(message)
        return message

    def _kill(self) -> None:
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait(PATIENCE)
