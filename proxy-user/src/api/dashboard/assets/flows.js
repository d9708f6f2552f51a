// Flows: asked for again and again, sorted by a column, with rates of the time between.

import { ask, bytes, duration, element, flag, number } from "./format.js";

const EVERY = 2000;

const table = document.getElementById("flows");
const said = document.getElementById("said");
const pause = document.getElementById("pause");
const most = Number(table.dataset.most);
// Until a column is chosen they are in the API's order: those of the most bytes come first.
let sort;
let before = { at: 0, flows: new Map() };
let shown = [];
let paused = false;

const name = (flow) =>
  [flow.service_id, flow.protocol, flow.source_ip, flow.source_port, flow.listen_address, flow.listen_port].join(" ");
const host = (address) => (address.includes(":") ? `[${address}]` : address);
const rate = (value) => (value === undefined ? "–" : `${bytes(value)}/s`);

function cells(flow) {
  return [
    [element("a", { href: `/activity/proxy-events?service_id=${encodeURIComponent(flow.service_id)}`, textContent: flow.service_id })],
    [flow.plane],
    [flow.protocol],
    [`${host(flow.source_ip)}:${flow.source_port}`],
    flow.country_code ? [flag(table.dataset.flags, flow.country_code), flow.country_code] : [],
    [`${host(flow.listen_address)}:${flow.listen_port}`],
    [flow.state],
    [duration(flow.age_ms)],
    [duration(flow.idle_ms)],
    [bytes(flow.bytes_upload)],
    [bytes(flow.bytes_download)],
    [rate(flow.rate_upload)],
    [rate(flow.rate_download)],
    [number(flow.packets)],
  ];
}

function compare(one, other) {
  const [a, b] = [one[sort.key] ?? "", other[sort.key] ?? ""];
  const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  return sort.ascending ? order : -order;
}

function draw() {
  const body = table.tBodies[0];
  // Who is on a link of a row stays there.
  if (body.contains(document.activeElement)) return;
  const numbers = [...table.tHead.rows[0].cells].map((head) => head.classList.contains("number"));
  const rows = (sort ? shown.toSorted(compare) : shown).map((flow) =>
    element("tr", {}, ...cells(flow).map((children, at) =>
      element("td", { className: numbers[at] ? "number" : "" }, ...children))));
  body.replaceChildren(...rows);
  document.getElementById("none").hidden = rows.length > 0;
}

function rates(flow, seconds) {
  const old = before.flows.get(name(flow));
  const of = (key) => (old && old.age_ms <= flow.age_ms ? (flow[key] - old[key]) / seconds : undefined);
  const packets = flow.packets_upload + flow.packets_download;
  return { ...flow, packets, rate_upload: of("bytes_upload"), rate_download: of("bytes_download") };
}

async function look() {
  const page = await ask(`/api/flows?page_size=${most}`);
  const now = performance.now();
  const seconds = (now - before.at) / 1000;
  shown = page.data.map((flow) => rates(flow, seconds));
  before = { at: now, flows: new Map(page.data.map((flow) => [name(flow), flow])) };
  const part = page.total_records > page.data.length ? `; the ${most} of the most bytes are shown` : "";
  said.textContent = `${number(page.total_records)} open${part}`;
  draw();
}

async function watch() {
  if (!paused && !document.hidden) {
    await look().catch((error) => {
      said.textContent = error.message;
    });
  }
  setTimeout(watch, EVERY);
}

for (const head of table.tHead.rows[0].cells) {
  const button = element("button", { type: "button", className: "sort", textContent: head.textContent });
  head.replaceChildren(button);
  button.addEventListener("click", () => {
    const key = head.dataset.key;
    sort = { key, ascending: sort?.key === key ? !sort.ascending : !head.classList.contains("number") };
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.ariaSort = sort.ascending ? "ascending" : "descending";
    draw();
  });
}
pause.hidden = false;
pause.addEventListener("click", () => {
  paused = !paused;
  pause.ariaPressed = String(paused);
});
watch();
