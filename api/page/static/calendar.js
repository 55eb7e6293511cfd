// Pointer and keyboard control of the calendar. One link is placed over the current square, so that it opens
// like any link. Its position is computed from the pointer, so squares need no elements of their own.
import { onRefresh } from "./live.js";
import * as tip from "./tip.js";

const UNIT = 10; // a square and its gap, in units of the image
const TOP = 9; // above the squares
const HOVER_DELAY = 150; // milliseconds on a square before its details are fetched
const STEPS = { ArrowUp: -1, ArrowDown: 1, ArrowLeft: -7, ArrowRight: 7 };

const link = Object.assign(document.createElement("a"), { className: "cursor", hidden: true, tabIndex: -1 });
document.body.append(link);
let current = null; // { svg, day }: the row, and the days since its first Monday
let timer = null;

const grid = () => document.getElementById("grid");
const rows = () => [...grid().querySelectorAll("svg")];
const days = (svg) => svg.dataset.weeks * 7;

function dateOf({ svg, day }) {
  const date = new Date(`${svg.dataset.first}T00:00:00Z`);
  date.setUTCDate(date.getUTCDate() + day);
  return date.toISOString().slice(0, 10);
}

// The position of the square in the window.
function box({ svg, day }) {
  const frame = svg.getBoundingClientRect();
  const scale = frame.height / svg.viewBox.baseVal.height;
  const [week, weekday] = [Math.floor(day / 7), day % 7];
  const [x, y] = [frame.left + week * UNIT * scale, frame.top + (TOP + weekday * UNIT) * scale];
  return { x, y, side: (UNIT - 1) * scale };
}

// The label of the date's style; null if the date was never enqueued.
function labelAt(place) {
  const point = place.svg.createSVGPoint();
  point.x = Math.floor(place.day / 7) * UNIT + UNIT / 2 - 0.5;
  point.y = TOP + (place.day % 7) * UNIT + UNIT / 2 - 0.5;
  const layers = [...place.svg.querySelectorAll("path[data-label]")];
  return layers.find((layer) => layer.isPointInFill(point))?.dataset.label ?? null;
}

function show(place) {
  current = place;
  const [date, label, { x, y, side }] = [dateOf(place), labelAt(place), box(place)];
  link.href = label === null ? `/enqueue?start=${date}&end=${date}` : `/dates/${date}`;
  Object.assign(link.style, { left: `${x}px`, top: `${y}px`, width: `${side}px`, height: `${side}px` });
  const name = new Date(date).toLocaleDateString("en-GB", { weekday: "short", day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
  link.ariaLabel = tip.write(name, label ?? "never enqueued");
  link.hidden = false;
  tip.place({ x, y, height: side });
  clearTimeout(timer);
  if (label !== null) timer = setTimeout(() => explain(date, name), HOVER_DELAY);
}

// Show what the date waits on, or the reason of its outcome.
async function explain(date, name) {
  const response = await fetch(`/v1/dates?start=${date}&end=${date}`);
  const [details] = response.ok ? (await response.json()).items : [];
  if (details === undefined || current === null || dateOf(current) !== date) return;
  const reason = details.waiting_on ? `waiting: ${details.waiting_on}` : details.reason;
  tip.write(name, [details.outcome?.replaceAll("_", " ") ?? details.state, reason].filter(Boolean).join(": "));
}

function hide() {
  clearTimeout(timer);
  current = null;
  link.hidden = true;
  tip.hide();
}

function under(event) {
  const svg = document.elementsFromPoint(event.clientX, event.clientY).find((element) => element.matches("#grid svg"));
  if (svg === undefined) return null;
  const frame = svg.getBoundingClientRect();
  const scale = frame.height / svg.viewBox.baseVal.height;
  const week = Math.floor((event.clientX - frame.left) / (UNIT * scale));
  const weekday = Math.floor(((event.clientY - frame.top) / scale - TOP) / UNIT);
  const inside = weekday >= 0 && weekday < 7 && week >= 0 && week < svg.dataset.weeks;
  return inside ? { svg, day: week * 7 + weekday } : null;
}

function moved(key) {
  const all = rows();
  const here = all.indexOf(current.svg);
  if (key in STEPS) return within(all, here, current.day + STEPS[key]);
  if (key === "Home") return { svg: current.svg, day: 0 };
  if (key === "End") return { svg: current.svg, day: days(current.svg) - 1 };
  const other = { PageUp: all[here - 1], PageDown: all[here + 1] }[key];
  return other ? { svg: other, day: Math.min(current.day, days(other) - 1) } : null;
}

// A day before a row's first is in the row before, one after its last in the row after.
function within(all, here, day) {
  if (day < 0) return here > 0 ? { svg: all[here - 1], day: days(all[here - 1]) - 1 } : null;
  if (day >= days(all[here])) return here < all.length - 1 ? { svg: all[here + 1], day: 0 } : null;
  return { svg: all[here], day };
}

// The last enqueued date of the last row.
function beginning() {
  const svg = rows().at(-1);
  let day = days(svg) - 1;
  while (day > 0 && labelAt({ svg, day }) === null) day -= 1;
  return { svg, day };
}

function pointed(event) {
  if (!event.target.closest("#grid, .cursor")) return current !== null && grid() !== document.activeElement && hide();
  const place = under(event);
  if (place === null) hide();
  else if (current === null || current.svg !== place.svg || current.day !== place.day) show(place);
}

document.addEventListener("pointermove", pointed);
document.addEventListener("pointerdown", pointed); // touch sends no pointermove first

document.addEventListener("keydown", (event) => {
  if (event.target !== grid()) return;
  if (event.key === "Escape") return hide();
  if (event.key === "Enter" && current !== null) return link.click();
  if (!(event.key in STEPS) && !["Home", "End", "PageUp", "PageDown"].includes(event.key)) return;
  event.preventDefault();
  const place = current === null ? beginning() : moved(event.key);
  if (place === null) return;
  place.svg.parentElement.scrollIntoView({ block: "nearest" });
  show(place);
});

document.addEventListener("focusin", (event) => event.target === grid() && current === null && event.target.matches(":focus-visible") && show(beginning()));
document.addEventListener("focusout", (event) => event.target === grid() && hide());
document.addEventListener("scroll", () => current !== null && hide(), { capture: true, passive: true });
onRefresh(() => current !== null && !current.svg.isConnected && hide());
