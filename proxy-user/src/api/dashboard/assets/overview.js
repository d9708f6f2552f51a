// The overview: one question, and what its answer shows.

import { buckets, chart, count } from "./charts.js";
import { ask, brief, bytes, country, duration, element, number, short, whole, words } from "./format.js";
import { bars } from "./lists.js";
import { map } from "./map.js";
import { zoneName } from "./times.js";

const root = document.getElementById("overview");
// Distances between the lines of an axis of bytes.
const POWERS = Array.from({ length: 50 }, (_, power) => 2 ** power);
const at = (id) => document.getElementById(id);

// Durations are of what was not denied: without any, none is known.
const timed = ({ requests, connections }) =>
  requests.allowed + requests.error + connections.allowed + connections.error > 0;

function tiles(summary) {
  const total = (kind, verdict) => summary.series.reduce((sum, bucket) => sum + bucket[kind][verdict], 0);
  const both = (verdict) => total("requests", verdict) + total("connections", verdict);
  const took = (ms) => (summary.series.some(timed) ? duration(ms) : "–");
  const shown = [
    ["Records", number(summary.total_records)],
    ["Allowed", number(both("allowed"))],
    ["Denied", number(both("denied"))],
    ["Failed", number(both("error"))],
    ["Suppressed", number(summary.suppressed)],
    ["Up", bytes(summary.bytes_upload)],
    ["Down", bytes(summary.bytes_download)],
    ["Median", took(summary.p50_ms)],
    ["p95", took(summary.p95_ms)],
    ["p99", took(summary.p99_ms)],
  ];
  for (const [name, value] of shown) {
    const pair = [element("dt", { textContent: name }), element("dd", { textContent: value })];
    at("tiles").append(element("div", {}, ...pair));
  }
}

function verdicts(of, starts, kind) {
  const values = (verdict) => starts.map((start) => of(start)?.[kind][verdict] ?? 0);
  return [
    { label: "Error", colour: "--error", values: values("error") },
    { label: "Denied", colour: "--denied", values: values("denied") },
    { label: "Allowed", colour: "--allowed", values: values("allowed") },
  ];
}

function charts(summary) {
  const { starts, at: of } = buckets(summary, new URLSearchParams(root.dataset.query));
  const values = (key) => starts.map((start) => of(start)?.[key] ?? 0);
  const lengths = (key) => starts.map((start) => (of(start) && timed(of(start)) ? of(start)[key] : null));
  const draw = (id, lines, options) => chart(at(id), starts, summary.step_ms, lines, options);
  const counts = { stacked: true, shown: count, axis: short };
  const drawn = [
    draw("requests", verdicts(of, starts, "requests"), counts),
    draw("connections", verdicts(of, starts, "connections"), counts),
    draw("bytes", [
      { label: "Up", colour: "--one", values: values("bytes_upload") },
      { label: "Down", colour: "--two", dash: [6, 4], values: values("bytes_download") },
    ], { shown: bytes, axis: whole, steps: POWERS }),
    draw("durations", [
      { label: "p50", colour: "--one", values: lengths("p50_ms") },
      { label: "p95", colour: "--two", dash: [6, 4], values: lengths("p95_ms") },
      { label: "p99", colour: "--three", dash: [2, 3], values: lengths("p99_ms") },
    ], { powers: true, shown: duration, axis: brief }),
  ];
  addEventListener("resize", () => drawn.forEach((fit) => fit()));
}

function lists(summary) {
  const flags = root.dataset.flags;
  bars(at("services"), summary.top_services, { filter: "service_id", shown: (name) => name || "Unknown host" });
  bars(at("sources"), summary.top_sources, { filter: "source_ip" });
  bars(at("countries"), summary.top_countries, { filter: "country_code", shown: country, flags });
  bars(at("reasons"), summary.top_reasons, { filter: "reason", shown: (name) => words("reason", name) });
  bars(at("classes"), summary.status_classes, { shown: (name) => (name === "none" ? "No status" : name) });
}

async function show() {
  const summary = await ask(`/api/events/proxy/summary?${root.dataset.query}`);
  tiles(summary);
  if (summary.series.length > 0) charts(summary);
  lists(summary);
  await map(at("map"), root.dataset.world, summary.top_countries);
  at("said").textContent = summary.series.length > 0
    ? `Times are of ${zoneName()}. Drag over a chart to see that stretch of time.`
    : "No record is of this time.";
  // For who measures how long this takes.
  performance.mark("drawn");
}

if (root) {
  show().catch((error) => {
    at("said").textContent = `There is no summary: ${error.message}`;
  });
  // Colours are read once, as the charts are drawn.
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => location.reload());
}
