// Records as rows of the table, made of what the API sends. Its values come from the network:
// they become text, never markup.

import { bytes, country, duration, element, flag, words } from "./format.js";
import { brief } from "./times.js";

const title = (text) => text.charAt(0).toUpperCase() + text.slice(1);

// The page with one more filter.
function filtered(name, value) {
  const address = new URL(location.href);
  for (const paging of ["page", "cursor"]) address.searchParams.delete(paging);
  address.searchParams.set(name, value);
  return `${address.pathname}${address.search}`;
}

function link(name, value, shown = value) {
  if (value === undefined || value === "") return "";
  return element("a", { href: filtered(name, value), textContent: shown });
}

function cell(key, ...children) {
  const number = ["status", "duration", "up", "down"].includes(key) ? " number" : "";
  return element("td", { className: `c-${key}${number}` }, ...children);
}

function place(record, flags) {
  const code = record.country_code;
  if (!code) return [];
  const known = link("country_code", code);
  known.title = country(code);
  const city = record.city_name ? element("span", { className: "soft", textContent: ` ${record.city_name}` }) : "";
  return [flag(flags, code), known, city];
}

function user(record) {
  if (record.user_email) return link("user_email", record.user_email);
  return link("user_id", record.user_id);
}

function why(record) {
  const suppressed = record.metadata?.suppressed;
  const more = element("span", { className: "soft", textContent: ` and ${suppressed} more` });
  const reason = record.reason && link("reason", record.reason, words("reason", record.reason));
  return [reason ?? "", suppressed ? more : ""];
}

export function row(record, flags) {
  const http = record.protocol === "http" && record.method;
  const verdict = link("verdict", record.verdict, "");
  verdict.className = `verdict v-${record.verdict}`;
  verdict.title = title(record.verdict);
  verdict.append(element("span", { textContent: verdict.title }));
  const time = element("time", { dateTime: record.timestamp, textContent: brief(record.timestamp) });
  time.title = `${record.timestamp} (UTC)`;
  const open = { className: "open", href: `/activity/proxy-events/${record.id}`, textContent: "›" };
  const url = cell("url", link("host", record.host), record.url.slice(record.host.length));
  url.title = record.url;
  const source = cell("source", record.source_ip === "many" ? link("search", record.id, "many") : link("source_ip", record.source_ip));
  source.title = record.source_ip;
  const auth = record.auth_method_used;
  return element(
    "tr",
    { "data-id": record.id },
    cell("more", element("a", { ...open, ariaLabel: "All fields" })),
    cell("time", time),
    cell("verdict", verdict),
    cell("location", ...place(record, flags)),
    source,
    cell("method", http ? link("method", record.method) : link("protocol", record.protocol, record.protocol.toUpperCase())),
    url,
    cell("status", record.status_code ? link("status_code", record.status_code) : ""),
    cell("duration", duration(record.duration_ms)),
    cell("up", bytes(record.bytes_upload)),
    cell("down", bytes(record.bytes_download)),
    cell("user", user(record)),
    cell("auth", auth ? link("auth_method", auth, words("auth_method", auth)) : ""),
    cell("reason", ...why(record)),
    cell("service", link("service_id", record.service_id)),
  );
}

// Every field of a record, below its row.
export function fields(record, columns) {
  const list = element("dl", { className: "fieldlist" });
  for (const [name, value] of Object.entries(record)) {
    const shown = typeof value === "object" ? JSON.stringify(value) : String(value);
    const pair = [element("dt", { textContent: name }), element("dd", { textContent: shown })];
    list.append(element("div", {}, ...pair));
  }
  return element("tr", { className: "all" }, element("td", { colSpan: columns }, list));
}
