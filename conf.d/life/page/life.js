"use strict";
// Draws the generations that the program writes, a line of JSON each, and tells it what was clicked.

const canvas = document.querySelector("#world");
const state = document.querySelector("#state");
const draw = canvas.getContext("2d");
let world = null;

const socket = new WebSocket(`${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}/world`);

socket.onmessage = event => {
  world = JSON.parse(event.data);
  const size = canvas.width / world.columns;
  draw.clearRect(0, 0, canvas.width, canvas.height);
  draw.fillStyle = getComputedStyle(document.body).getPropertyValue("--cell");
  let living = 0;
  world.rows.forEach((row, y) => {
    for (let x = 0; x < world.columns; x++) {
      if (!(parseInt(row[x >> 2], 16) >> (3 - x % 4) & 1)) continue;
      living++;
      draw.beginPath();
      draw.roundRect(x * size + 1, y * size + 1, size - 2, size - 2, size / 4);
      draw.fill();
    }
  });
  state.textContent = `generation ${world.generation}, ${living} alive${world.runs ? "" : ", stopped"}`;
};

socket.onclose = event => { state.textContent = event.reason || "no connection"; };

for (const button of document.querySelectorAll("button")) {
  button.addEventListener("click", () => socket.send(button.dataset.word));
}

canvas.addEventListener("click", event => {
  if (!world) return;
  const place = canvas.getBoundingClientRect();
  const x = Math.floor((event.clientX - place.left) / place.width * world.columns);
  const y = Math.floor((event.clientY - place.top) / place.height * world.rows.length);
  socket.send(`${x} ${y}`);
});
