"use strict";
// A terminal of a session: xterm.js draws, and the subprotocol chimera.json.v1 says what is what.

const SUBPROTOCOL = "chimera.json.v1";
const state = document.querySelector("#state");
const again = document.querySelector("#again");

const terminal = new Terminal({
  cursorBlink: true,
  fontFamily: 'ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace',
  fontSize: 15,
  scrollback: 5000,
  theme: { background: "#171512", foreground: "#ece6da", cursor: "#e3a64a", selectionBackground: "#5b4a2c" },
});
const fit = new FitAddon.FitAddon();
terminal.loadAddon(fit);
// Before it is opened: the page's policy has no place for the styles of the renderer that is used otherwise.
terminal.loadAddon(new CanvasAddon.CanvasAddon());
terminal.open(document.querySelector("#terminal"));
window.addEventListener("resize", () => fit.fit());

const bytes = base64 => Uint8Array.from(atob(base64), character => character.charCodeAt(0));

/** The session that is on the page; an older one that is just ending has no say any more. */
let current = null;

function say(message) {
  if (current?.readyState === WebSocket.OPEN) current.send(JSON.stringify(message));
}

terminal.onData(data => say({ type: "stdin", data }));
terminal.onBinary(data => say({ type: "stdin", base64: btoa(data) }));
terminal.onResize(({ cols, rows }) => say({ type: "resize", columns: cols, rows }));

function ended(text) {
  state.textContent = text;
  again.hidden = false;
}

function join() {
  const program = location.hash.slice(1) || "notes";
  for (const link of document.querySelectorAll("nav a")) {
    link.toggleAttribute("aria-current", link.hash === `#${program}`);
  }
  current?.close();
  terminal.reset();
  again.hidden = true;
  state.textContent = "connecting…";
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}/${program}`, SUBPROTOCOL);
  current = socket;
  socket.onopen = () => {
    fit.fit();
    say({ type: "resize", columns: terminal.cols, rows: terminal.rows });
    terminal.focus();
  };
  let last = "";
  socket.onmessage = event => {
    if (socket !== current) return;
    const message = JSON.parse(event.data);
    switch (message.type) {
      case "start": state.textContent = `process ${message.process}`; break;
      case "stdout": terminal.write(message.data ?? bytes(message.base64)); break;
      case "exit": last = "signal" in message ? `ended by signal ${message.signal}` : `exit status ${message.status}`; break;
    }
  };
  socket.onclose = event => {
    if (socket === current) ended(last || event.reason || (event.code === 1006 ? "no connection" : `closed, ${event.code}`));
  };
}

again.addEventListener("click", join);
window.addEventListener("hashchange", join);
join();
