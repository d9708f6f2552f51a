// Proxy Events: columns, all fields of a row, the live tail.

import { columns } from "./columns.js";
import { ask, number } from "./format.js";
import { fields, row } from "./rows.js";

// Rows that the page holds; the oldest go.
const MOST = 500;
// Rows that wait for the next time the page is drawn.
const MOST_WAITING = 500;

const table = document.getElementById("records");
const tail = document.getElementById("tail");
// What is read out; the count beside it is not, it changes all the time.
const said = document.getElementById("said");
const count = document.getElementById("came");

if (table) {
  columns(document.getElementById("columns"), table);
  table.tBodies[0].addEventListener("click", open);
  if (tail) {
    tail.hidden = false;
    tail.addEventListener("click", () => (stream ? stop("The tail has stopped.") : follow()));
  }
}

async function open(event) {
  const link = event.target.closest("a.open");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  if (link.ariaBusy === "true") return;
  const line = link.closest("tr");
  const below = line.nextElementSibling;
  if (below?.className === "all") {
    below.remove();
    link.ariaExpanded = "false";
    return;
  }
  link.ariaBusy = "true";
  try {
    const record = await ask(`/api/events/proxy/${line.dataset.id}`);
    line.after(fields(record, table.tHead.rows[0].cells.length));
    link.ariaExpanded = "true";
  } catch (error) {
    said.textContent = error.message;
  }
  link.ariaBusy = "false";
}

let stream;
let waiting = [];
let drawing = false;
let came = 0;

function follow() {
  came = 0;
  waiting = [];
  drawing = true;
  stream = new EventSource(`/api/events/proxy/stream?${table.dataset.query}`);
  stream.addEventListener("open", () => catchUp().catch((error) => stop(error.message)), { once: true });
  stream.addEventListener("open", () => {
    said.textContent = "Following new records.";
  });
  stream.addEventListener("message", (event) => {
    came += 1;
    waiting.push(event.data);
    if (waiting.length > MOST_WAITING) waiting.shift();
    if (drawing) return;
    drawing = true;
    requestAnimationFrame(draw);
  });
  stream.addEventListener("error", () => {
    if (stream?.readyState === EventSource.CLOSED) stop("The tail has ended: is the token still good?");
    else said.textContent = "The connection is lost; the tail tries again.";
  });
  tail.ariaPressed = "true";
  count.textContent = "";
  document.querySelector(".none")?.remove();
}

// What came between the page and its tail; nothing is drawn before. A stream that is lost goes
// on where it was by itself.
async function catchUp() {
  const page = await ask(`/api/events/proxy?${table.dataset.query}`);
  table.tBodies[0].replaceChildren(...page.data.map((record) => row(record, table.dataset.flags)));
  draw();
}

function stop(message) {
  stream?.close();
  stream = undefined;
  tail.ariaPressed = "false";
  said.textContent = message;
}

function draw() {
  drawing = false;
  const body = table.tBodies[0];
  const known = new Set([...body.rows].map((line) => line.dataset.id));
  for (const data of waiting) {
    const record = JSON.parse(data);
    if (known.has(record.id)) continue;
    const line = row(record, table.dataset.flags);
    line.classList.add("new");
    body.prepend(line);
  }
  if (waiting.length > 0) count.textContent = `${number(came)} came.`;
  waiting = [];
  while (body.rows.length > MOST) body.lastElementChild.remove();
}
