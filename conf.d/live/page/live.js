"use strict";
// Each socket is a program: a line that it writes is a message, and a message is a line that it reads.

const scheme = location.protocol === "https:" ? "wss:" : "ws:";
const find = selector => document.querySelector(selector);

function join(path, output) {
  const socket = new WebSocket(`${scheme}//${location.host}${path}`);
  socket.onmessage = event => { output.value = event.data; };
  socket.onclose = event => { output.value = `ended: ${event.code} ${event.reason}`; };
  return socket;
}

const count = join("/count", find("#number"));
find("#again").onclick = () => count.send("again");

const game = join("/guess", find("#answer"));
find("#guess").onsubmit = event => {
  event.preventDefault();
  game.send(event.target.number.value);
  event.target.reset();
};

const chat = new WebSocket(`${scheme}//${location.host}/chat`);
const talk = find("#talk");

function add(text, name) {
  const line = document.createElement("li");
  if (name) {
    const who = document.createElement("b");
    who.textContent = name;
    line.append(who, " ", text);
  } else {
    line.className = "news";
    line.textContent = text;
  }
  talk.append(line);
  talk.scrollTop = talk.scrollHeight;
}

chat.onmessage = event => {
  const message = JSON.parse(event.data);
  if (message.type === "said") return add(message.text, message.name);
  add(`${message.name} has ${message.type}.`);
  find("#present").textContent = `${message.present} here.`;
};
chat.onclose = event => add(`ended: ${event.code} ${event.reason}`);

find("#say").onsubmit = event => {
  event.preventDefault();
  const { name, text } = event.target;
  chat.send(JSON.stringify({ name: name.value, text: text.value }));
  text.value = "";
};
