// Charts over time, by uPlot. A stretch that is dragged over becomes the time of the page.

import { element, number } from "./format.js";
import { local, moment } from "./times.js";

const HEIGHT = 190;

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// Buckets without records that are added before the first and behind the last.
const MOST_ADDED = 500;

// Every bucket of the time that was asked for, also those that the summary leaves out as empty:
// that nothing came any more is what people look for.
export function buckets(summary, asked) {
  const step = summary.step_ms;
  const given = new Map(summary.series.map((bucket) => [Date.parse(bucket.start), bucket]));
  const starts = [...given.keys()].sort((one, other) => one - other);
  let [first, last] = [starts[0], starts.at(-1)];
  const from = Date.parse(asked.get("start_date"));
  const to = Math.min(asked.has("end_date") ? Date.parse(asked.get("end_date")) : Infinity, Date.now());
  const before = Math.floor((first - from) / step);
  const behind = Math.floor((to - last) / step);
  if (before > 0 && before <= MOST_ADDED) first -= before * step;
  if (behind > 0 && behind <= MOST_ADDED) last += behind * step;
  const all = [];
  for (let at = first; at <= last; at += step) all.push(at);
  return { starts: all, at: (start) => given.get(start) };
}

// Puts a chart into a section. `lines`: { label, colour, dash, values }; stacked ones are drawn
// as bars on top of each other; `powers`: the axis has powers of ten, as what is told differs by them.
export function chart(section, starts, step, lines, { stacked = false, powers = false, shown, axis, steps }) {
  const place = element("div", { className: "plot", role: "img" });
  place.ariaLabel = `${section.querySelector("h2").textContent} over time; the numbers are in the table below`;
  const at = starts.map((start) => start / 1000);
  const sums = stacked ? stack(lines) : lines.map(({ values }) => values.map((value) => drawn(value, powers)));
  // A bar needs a neighbour to know its width.
  if (at.length === 1) {
    at.push(at[0] + step / 1000);
    for (const values of sums) values.push(null);
  }
  const series = lines.map((line) => ({
    label: line.label,
    stroke: colour(line.colour),
    dash: line.dash,
    width: stacked ? 0 : 1.6,
    fill: stacked ? colour(line.colour) : undefined,
    points: { show: !stacked && starts.length < 3, size: 5 },
    paths: stacked ? uPlot.paths.bars({ size: [0.8, 24], align: 1 }) : undefined,
    value: (_, __, ___, place) => (Number.isInteger(place) ? told(line.values[place], shown) : ""),
    spanGaps: true,
  }));
  const soft = colour("--soft");
  const grid = { stroke: colour("--line"), width: 1 };
  const ruled = powers ? (_, splits) => splits.map(power) : (_, splits) => splits;
  const options = {
    width: Math.max(section.clientWidth - 32, 200),
    height: HEIGHT,
    series: [{ label: "At", value: (_, value) => (value ? moment(value * 1000, step) : "") }, ...series],
    axes: [
      { stroke: soft, grid: { show: false }, ticks: grid, values: clock },
      { stroke: soft, grid: { ...grid, filter: ruled }, ticks: { show: false }, values: (_, values) => values.map(axis), size: 62, incrs: steps },
    ],
    scales: { y: powers ? { distr: 3 } : { range: (_, __, most) => [0, most > 0 ? most * 1.08 : 1] } },
    cursor: { drag: { x: true, y: false, setScale: false }, y: false },
    hooks: { setSelect: [(plot) => zoom(plot, step)] },
  };
  section.append(place, numbers(starts, step, lines, shown));
  const plot = new uPlot(options, [at, ...sums], place);
  return () => plot.setSize({ width: Math.max(section.clientWidth - 32, 200), height: HEIGHT });
}

// Hours and minutes, and below them the day where one begins.
function clock(_, splits, __, ___, step) {
  let day = "";
  return splits.map((at) => {
    const [date, time] = local(at * 1000).split(" ");
    const shown = step >= 86400 ? date.slice(5) : time.slice(0, step < 60 ? 8 : 5);
    const below = step < 86400 && date !== day ? `\n${date.slice(5)}` : "";
    day = date;
    return shown + below;
  });
}

// Powers of ten alone.
function power(value) {
  return Number.isInteger(Math.log10(value)) ? value : null;
}

// There is no power of ten for nothing.
function drawn(value, powers) {
  return powers && value !== null ? Math.max(value, 1) : value;
}

// What is not known has no number.
function told(value, shown) {
  return value === null || value === undefined ? "–" : shown(value);
}

// The first line is drawn first, behind those that are part of its sum.
function stack(lines) {
  return lines.map((_, index) =>
    lines[0].values.map((_, at) =>
      lines.slice(index).reduce((sum, { values }) => sum + values[at], 0),
    ),
  );
}

function zoom(plot, step) {
  if (plot.select.width < 3) return;
  const [from, to] = [plot.select.left, plot.select.left + plot.select.width]
    .map((place) => plot.posToVal(place, "x") * 1000)
    .map((ms) => new Date(Math.round(ms)));
  if (to - from < 1000 && step > 1000) return;
  const address = new URL(location.href);
  address.searchParams.delete("range");
  address.searchParams.set("start_date", from.toISOString());
  address.searchParams.set("end_date", to.toISOString());
  location.assign(address);
}

// The same as a table, for who cannot see the chart or wants the numbers.
function numbers(starts, step, lines, shown) {
  const details = element("details", { className: "numbers" }, element("summary", { textContent: "Numbers" }));
  details.addEventListener("toggle", () => details.append(table(starts, step, lines, shown)), { once: true });
  return details;
}

function table(starts, step, lines, shown) {
  const head = ["From", ...lines.map(({ label }) => label)];
  const cells = (kind, texts) => texts.map((textContent) => element(kind, { textContent }));
  const body = starts.map((start, at) =>
    element("tr", {}, ...cells("td", [moment(start, step), ...lines.map(({ values }) => told(values[at], shown))])),
  );
  const made = element(
    "table",
    { className: "data" },
    element("thead", {}, element("tr", {}, ...cells("th", head))),
    element("tbody", {}, ...body),
  );
  return element("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: "Numbers" }, made);
}

export const count = (value) => number(value);
