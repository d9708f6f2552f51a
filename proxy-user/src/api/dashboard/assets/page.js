// What every page does: times in the browser's zone, menus that close, empty filters left out.

import { country } from "./format.js";
import { localise } from "./times.js";

localise(document);

for (const link of document.querySelectorAll(".c-location a")) {
  link.title = country(link.textContent);
}

// A menu is left by Escape and by a click elsewhere.
const menus = () => document.querySelectorAll("details.menu[open]");
addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of menus()) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
addEventListener("click", (event) => {
  for (const menu of menus()) if (!menu.contains(event.target)) menu.open = false;
});

// Times that are typed take the place of a preset, and the other way round.
const preset = document.getElementById("f-range");
const times = ["start_date", "end_date"].map((name) => document.getElementById(`f-${name}`));
for (const time of times) time?.addEventListener("input", () => { preset.value = ""; });
preset?.addEventListener("change", () => {
  if (preset.value !== "") for (const time of times) time.value = "";
});

// Addresses stay short enough to be shared.
for (const form of document.querySelectorAll("form.filters")) {
  form.addEventListener("formdata", (event) => {
    const given = [...event.formData];
    for (const [name] of given) event.formData.delete(name);
    for (const [name, value] of given) if (value !== "") event.formData.append(name, value);
  });
}
