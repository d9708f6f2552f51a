// Lists of what is most, each entry a way to filter by it.

import { element, flag, number } from "./format.js";

// The page of records with one more filter.
export function records(name, value) {
  const address = new URL(location.href);
  address.pathname = "/activity/proxy-events";
  if (name && value) address.searchParams.set(name, value);
  if (![...address.searchParams.keys()].some((key) => /^(range|start_date|end_date|active_)/.test(key))) {
    address.searchParams.set("range", "24h");
  }
  return `${address.pathname}${address.search}`;
}

// `entries`: { value, count }; `shown` says a value in words.
export function bars(list, entries, { filter, shown = (value) => value, most = 10, flags }) {
  if (entries.length === 0) {
    list.replaceWith(element("p", { className: "none", textContent: "None." }));
    return;
  }
  const largest = Math.max(...entries.map(({ count }) => count));
  for (const { value, count } of entries.slice(0, most)) {
    const name = filter && value
      ? element("a", { href: records(filter, value), textContent: shown(value) })
      : element("span", { textContent: shown(value) });
    const bar = element("i", { ariaHidden: "true" });
    bar.style.width = `${(100 * count) / largest}%`;
    const head = element("span", { className: "name" }, flags ? flag(flags, value) : "", name);
    list.append(element("li", {}, head, element("b", { textContent: number(count) }), bar));
  }
  const rest = entries.length - most;
  if (rest > 0) list.append(element("li", { className: "soft", textContent: `and ${rest} more` }));
}
