// A single-page app without a framework: the path decides what is drawn, and the history API changes the path.
// The gateway answers any path that is no file with index.html, so each route can be opened, and reloaded, directly.

const view = document.querySelector("#view");

/** Makes an element; text is never read as markup. */
function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
        if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
        else made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
}

const heading = (title, lead) => [element("h1", {}, title), element("p", { class: "lead" }, lead)];

/** A list that keeps its newest lines on top. */
function journal(lines = 12) {
    const list = element("ul", { class: "log" });
    const add = (label, text) => {
        list.prepend(element("li", {}, element("b", {}, label), element("span", {}, text)));
        while (list.children.length > lines) list.lastChild.remove();
    };
    return [list, add];
}

function say(place, text, kind = "") {
    place.textContent = text;
    place.className = `state ${kind}`;
}

// Each view draws itself and returns what ends it when the route changes.

function overview() {
    const cards = element("div", { class: "cards" });
    const card = (title, value) =>
        cards.append(element("div", { class: "card" }, element("h2", {}, title), element("span", { class: "big" }, value)));
    const [timing] = performance.getEntriesByType("navigation");
    card("Protocol", timing?.nextHopProtocol || "http/1.1");
    card("First byte", timing ? `${Math.max(0, timing.responseStart - timing.requestStart).toFixed(1)} ms` : "–");
    // Nothing goes over the wire where the browser has the page already.
    card("Page, on the wire", timing ? (timing.transferSize > 0 ? `${timing.transferSize} B` : "from cache") : "–");
    view.replaceChildren(
        ...heading("Every path leads here", "This app owns its routes. Open one, reload it, go back: the gateway "
            + "serves the same page for each, and the files beside it as files."),
        cards);
}

function backends() {
    const cards = element("div", { class: "cards" });
    const state = element("p", { class: "state" }, "Not asked yet.");
    const counts = new Map();

    function draw() {
        const most = Math.max(1, ...counts.values());
        cards.replaceChildren(...[...counts].sort().map(([name, count]) => {
            const bar = element("i");
            bar.style.width = `${(100 * count) / most}%`;
            return element("div", { class: "card" }, element("h2", {}, name),
                element("span", { class: "big" }, String(count)), element("div", { class: "bar" }, bar));
        }));
    }

    async function ask(times) {
        const start = performance.now();
        try {
            await Promise.all(Array.from({ length: times }, async () => {
                const answer = await fetch("/api/", { cache: "no-store" });
                if (!answer.ok) throw new Error(`the gateway answers ${answer.status}`);
                const { backend } = await answer.json();
                counts.set(backend, (counts.get(backend) ?? 0) + 1);
            }));
            say(state, `${times} answers in ${(performance.now() - start).toFixed(0)} ms`, "good");
        } catch (problem) {
            say(state, `No answer: ${problem.message}`, "bad");
        }
        draw();
    }

    view.replaceChildren(
        ...heading("Two backends, one name", "Each request goes to the next of two programs behind the gateway, under "
            + "this page's own origin."),
        element("div", { class: "row" },
            element("button", { onclick: () => ask(1) }, "Ask once"),
            element("button", { onclick: () => ask(20) }, "Ask twenty times")),
        cards, state);
    ask(8);
}

function events() {
    const [list, add] = journal();
    const state = element("p", { class: "state" }, "Connecting…");
    const source = new EventSource("/api/events?every=0.5");
    source.onopen = () => say(state, "Connected; each line comes the moment it is sent.", "good");
    source.onerror = () => say(state, "The stream ended; the browser tries again.", "bad");
    source.addEventListener("tick", (event) => {
        const { backend, number, time } = JSON.parse(event.data);
        add(`#${number}`, `${backend} at ${time}`);
    });
    view.replaceChildren(
        ...heading("Server-sent events", "A response that never ends. Nothing between the backend and you holds it back."),
        state, list);
    return () => source.close();
}

function echo() {
    const [list, add] = journal();
    const state = element("p", { class: "state" }, "Connecting…");
    const input = element("input", { value: "Hello through the gateway", "aria-label": "A message" });
    const socket = new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}/api/ws`);
    const sent = [];
    const send = () => {
        if (socket.readyState !== WebSocket.OPEN || !input.value) return;
        sent.push(performance.now());
        socket.send(input.value);
    };
    socket.onopen = () => { say(state, "Connected.", "good"); send(); };
    socket.onclose = () => say(state, "The connection is closed.", "bad");
    socket.onmessage = (event) => add(`${(performance.now() - sent.shift()).toFixed(1)} ms`, event.data);
    const form = element("form", { class: "row", onsubmit: (event) => { event.preventDefault(); send(); } },
        input, element("button", {}, "Send"));
    view.replaceChildren(
        ...heading("WebSocket echo", "The same port, the same route: the gateway sees the upgrade and steps aside."),
        form, state, list);
    return () => socket.close();
}

function unknown() {
    view.replaceChildren(...heading("A route of the app's own", "No file has this path, so the gateway sent the app, "
        + "and the app read the path. A server could not tell you more about it."));
}

const routes = { "/": overview, "/backends": backends, "/events": events, "/echo": echo };
let leave;

function draw() {
    leave?.();
    const path = location.pathname.replace(/\/+$/, "") || "/";
    document.querySelector("#route").textContent = location.pathname + location.search;
    document.title = path === "/" ? "Signal" : `${path.slice(1)} · Signal`;
    for (const link of document.querySelectorAll("nav a")) {
        if (link.pathname === path) link.setAttribute("aria-current", "page");
        else link.removeAttribute("aria-current");
    }
    leave = (routes[path] ?? unknown)();
}

document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    const plain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
    if (!link || !plain || link.origin !== location.origin) return;
    event.preventDefault();
    if (link.href !== location.href) history.pushState(null, "", link.href);
    draw();
});
addEventListener("popstate", draw);
draw();
