// Makes world.svg of npm's world-atlas: `node world.mjs > world.svg` beside a node_modules
// with world-atlas, topojson-client, d3-geo and i18n-iso-countries.
import { readFileSync } from "node:fs";
import { geoCentroid, geoNaturalEarth1, geoPath } from "d3-geo";
import countries from "i18n-iso-countries";
import { feature } from "topojson-client";

const SIZE = [960, 440];
// Disputed territories have no number in the data.
const UNNUMBERED = { Kosovo: "XK" };

function read(detail) {
  const atlas = JSON.parse(readFileSync(`node_modules/world-atlas/countries-${detail}.json`));
  const { features } = feature(atlas, atlas.objects.countries);
  return features.map((country) => ({
    code: countries.numericToAlpha2(country.id) ?? UNNUMBERED[country.properties.name],
    name: country.properties.name,
    country,
  }));
}

const coarse = read("110m").filter(({ code }) => code !== "AQ");
const land = { type: "FeatureCollection", features: coarse.map(({ country }) => country) };
const projection = geoNaturalEarth1().fitSize(SIZE, land);
const path = geoPath(projection).digits(1);
const known = new Set(coarse.map(({ code }) => code));
// What is too small to have a shape here has a dot.
const small = read("50m").filter(({ code }) => code && code !== "AQ" && !known.has(code));
const id = (code) => (code ? ` id="${code}"` : "");
const title = (name) => `<title>${name.replaceAll("&", "&amp;")}</title>`;

const lines = [`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIZE.join(" ")}">`];
for (const { code, name, country } of coarse) {
  lines.push(`<path${id(code)} d="${path(country)}">${title(name)}</path>`);
}
for (const { code, name, country } of small) {
  const [x, y] = projection(geoCentroid(country)).map((place) => place.toFixed(1));
  lines.push(`<circle${id(code)} cx="${x}" cy="${y}" r="2">${title(name)}</circle>`);
}
console.log([...lines, "</svg>"].join("\n"));
