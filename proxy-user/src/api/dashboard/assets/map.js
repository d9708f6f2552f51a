// Records by country on a map of the world.

import { country, number } from "./format.js";
import { records } from "./lists.js";

export async function map(place, address, countries) {
  const answer = await fetch(address);
  const world = new DOMParser().parseFromString(await answer.text(), "image/svg+xml").documentElement;
  const most = Math.max(1, ...countries.map(({ count }) => count));
  for (const { value, count } of countries) {
    const shape = value && world.getElementById(value);
    if (!shape) continue;
    shape.classList.add("has");
    // Most differences are of orders of magnitude.
    shape.style.fillOpacity = 0.25 + (0.75 * Math.log1p(count)) / Math.log1p(most);
    shape.querySelector("title").textContent = `${country(value)}: ${number(count)}`;
    shape.addEventListener("click", () => location.assign(records("country_code", value)));
  }
  place.replaceChildren(document.adoptNode(world));
}
