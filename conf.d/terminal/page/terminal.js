"use strict";
// A terminal of a session: xterm.js draws, and the subprotocol chimera.json.v1 says what is what. The program outlives the
// page and its connection (resume=), and is found again by a token that the tab remembers.

const SUBPROTOCOL = "chimera.json.v1";
const NO_SUCH_SESSION = 4400;
const TAKEN_OVER = 4401;
/** How the page leaves a program to which it may come back: 1000 would end it. */
const LATER = 3001;
/** Milliseconds between a lost connection and the first attempt to come back, and at most between two. */
const PAUSE = { first: 250, most: 10_000 };
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
// Of what is around it: the line above it may need a second row.
new ResizeObserver(() => fit.fit()).observe(document.querySelector("main"));

const bytes = base64 => Uint8Array.from(atob(base64), character => character.charCodeAt(0));

/** The session that is on the page; an older one that is just ending has no say any more. */
let current = null;

function say(message) {
  if (current?.readyState === WebSocket.OPEN) current.send(JSON.stringify(message));
}

terminal.onData(data => say({ type: "stdin", data }));
terminal.onBinary(data => say({ type: "stdin", base64: btoa(data) }));
terminal.onResize(() => size());

function ended(text) {
  state.textContent = text;
  again.hidden = false;
}

function size(more = 0) {
  say({ type: "resize", columns: terminal.cols, rows: terminal.rows + more });
}

/** The token of a program, for as long as the tab lives; a page that is loaded again has nothing else. */
const remembered = program => sessionStorage.getItem(`session ${program}`);
const remember = (program, token) => sessionStorage.setItem(`session ${program}`, token);
const forget = program => sessionStorage.removeItem(`session ${program}`);

/** Joins the program that the address names: the one that this tab has left, or a new one. */
function join() {
  const program = location.hash.slice(1) || "notes";
  for (const link of document.querySelectorAll("nav a")) {
    link.toggleAttribute("aria-current", link.hash === `#${program}`);
  }
  current?.close(LATER);
  terminal.reset();
  connect(program);
}

/**
 * Connects, to go on where the page stands.
 *
 * @param program the route's name
 * @param position behind what was drawn; null for a terminal that is empty
 * @param pause milliseconds until another attempt where this one gets no connection; null where it is the first
 */
function connect(program, position = null, pause = null) {
  const token = remembered(program);
  const protocols = [SUBPROTOCOL];
  if (token) protocols.push(`chimera.resume.${token}${position === null ? "" : `.${position}`}`);
  again.hidden = true;
  if (pause === null) state.textContent = "connecting…";
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}/${program}`, protocols);
  current = socket;
  let last = "";
  socket.onmessage = event => {
    if (socket !== current) return;
    const message = JSON.parse(event.data);
    position = message.position ?? position;
    switch (message.type) {
      case "start":
        state.textContent = `process ${message.process}`;
        pause = null;
        if (message.resume) remember(program, message.resume);
        fit.fit();
        size();
        terminal.focus();
        break;
      case "lost":
        // A program that is told of another size draws everything again.
        size(1);
        setTimeout(size, 100);
        break;
      case "stdout": terminal.write(message.data ?? bytes(message.base64)); break;
      case "exit": last = "signal" in message ? `ended by signal ${message.signal}` : `exit status ${message.status}`; break;
    }
  };
  socket.onclose = event => {
    if (socket !== current) return;
    const isLost = event.code === 1006 || event.code === 1012;
    if (!last && isLost && remembered(program)) {
      state.textContent = "the connection is lost; trying again…";
      const wait = pause === null ? PAUSE.first : Math.min(PAUSE.most, pause * 2);
      setTimeout(() => { if (socket === current) connect(program, position, wait); }, wait);
      return;
    }
    if (event.code !== TAKEN_OVER) forget(program);
    // What the tab remembers may have ended long ago; only who has seen it is told so.
    if (event.code === NO_SUCH_SESSION && position === null) return connect(program);
    ended(last || event.reason || (event.code === 1006 ? "no connection" : `closed, ${event.code}`));
  };
}

again.addEventListener("click", join);
window.addEventListener("hashchange", join);
join();
