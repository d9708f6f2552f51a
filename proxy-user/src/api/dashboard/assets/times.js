// Times in the browser's zone; their title keeps UTC.

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const parts = new Intl.DateTimeFormat("en-CA", {
  year: "numeric",
  month: "2-digit",
  day: "2-digit",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});

export function local(moment) {
  return parts.format(new Date(moment)).replace(",", "");
}

// Without a year that is the present one: tables have little room.
export function brief(moment) {
  const shown = local(moment);
  return shown.startsWith(`${new Date().getFullYear()}-`) ? shown.slice(5) : shown;
}

export function zoneName() {
  return zone;
}

export function localise(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.textContent = time.closest("td") ? brief(time.dateTime) : local(time.dateTime);
    time.title = `${time.dateTime} (UTC)`;
  }
  for (const label of root.querySelectorAll(".zone")) label.textContent = zone;
}

// Where a stretch of time of that length begins, as a chart's table says it.
export function moment(ms, length) {
  return local(ms).slice(5, length < 60000 ? 19 : 16);
}
