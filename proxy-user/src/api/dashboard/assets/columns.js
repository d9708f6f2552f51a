// Which columns are shown, kept in this browser.

const KEY = "weir.columns.hidden";

function read() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(kept) ? kept.filter((key) => typeof key === "string") : [];
  } catch {
    return [];
  }
}

export function columns(menu, table) {
  const boxes = [...menu.querySelectorAll("input")];
  const show = (hidden) => {
    table.dataset.hide = hidden.join(" ");
    for (const box of boxes) box.checked = !hidden.includes(box.value);
  };
  show(read());
  menu.addEventListener("change", () => {
    const hidden = boxes.filter((box) => !box.checked).map((box) => box.value);
    localStorage.setItem(KEY, JSON.stringify(hidden));
    show(hidden);
  });
  menu.hidden = false;
}
