// Values as people read them; the server's words.rs says the same.

export function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60000) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  if (ms < 3600000) return `${Math.floor(ms / 60000)} min ${Math.floor((ms % 60000) / 1000)} s`;
  return `${Math.floor(ms / 3600000)} h ${Math.floor((ms % 3600000) / 60000)} min`;
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

export function bytes(count) {
  let power = 0;
  let value = count;
  while (value >= 1024 && power < UNITS.length - 1) {
    value /= 1024;
    power += 1;
  }
  if (power === 0) return `${Math.round(value)} B`;
  return `${(Math.floor(value * 10) / 10).toFixed(1)} ${UNITS[power]}`;
}

export function number(count) {
  return count.toLocaleString("en-US");
}

// For the axes of charts, which have powers of ten of it; those between them have no name.
export function brief(ms) {
  if (ms === null) return "";
  return ms < 1000 ? `${ms} ms` : `${ms / 1000} s`;
}

export function whole(count) {
  return bytes(count).replace(".0 ", " ");
}

export function short(count) {
  return Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(count);
}

const regions = new Intl.DisplayNames(["en"], { type: "region", fallback: "code" });

export function country(code) {
  if (!/^[A-Z]{2}$/.test(code)) return code || "Unknown";
  return regions.of(code);
}

// The words of a value, which the form of filters has.
export function words(name, value) {
  const box = document.querySelector(`input[name="${name}"][value="${CSS.escape(value)}"]`);
  return box?.parentElement.textContent ?? value;
}

// An element with properties and children; text becomes text, never markup.
export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

export function flag(base, code) {
  if (!/^[A-Z]{2}$/.test(code ?? "")) return "";
  const properties = { className: "flag", width: 18, height: 12, alt: "", loading: "lazy" };
  return element("img", { ...properties, src: `${base}${code}.svg` });
}

// The answer of the API; its message where it refuses.
export async function ask(path, options = {}) {
  const answer = await fetch(path, { headers: { accept: "application/json" }, ...options });
  if (answer.status === 401) {
    // The session has ended.
    location.assign(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
  }
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.message ?? answer.statusText);
  return body;
}
