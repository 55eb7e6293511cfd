// Marks a rectangle of the grid by mouse or keyboard, and keeps the form and the URL equal to it. The form
// alone is what is sent, so that everything works without this script.
import { onRefresh } from "./live.js";
import * as tip from "./tip.js";

const HOVER_DELAY = 150; // milliseconds on a cell before its details are fetched
const FRESH = 5000; // milliseconds for which the details of a date are kept
const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

const form = document.getElementById("grid-form");
const scroll = form?.querySelector(".grid-scroll");
const overlay = document.getElementById("marked");
const known = new Map(); // date: { at, details }
let anchor = null; // the cell where marking began: { row, column }
let head = null; // the cell where it is now
let dragging = false;
let timer = null;

const rows = () => [...scroll.querySelectorAll("tr[data-processor]")];
const days = () => [...scroll.querySelectorAll("thead .day")].map((cell) => cell.abbr);
const cellAt = ({ row, column }) => rows()[row]?.cells[column + 1];

function positionOf(cell) {
  const row = rows().indexOf(cell.parentElement);
  return row < 0 || cell.tagName !== "TD" ? null : { row, column: cell.cellIndex - 1 };
}

function range() {
  const [top, bottom] = [anchor.row, head.row].sort((a, b) => a - b);
  const [left, right] = [anchor.column, head.column].sort((a, b) => a - b);
  return { top, bottom, left, right };
}

function mark(from, to) {
  [anchor, head] = [from, to];
  const { top, bottom, left, right } = range();
  const dates = days();
  form.elements.first.value = dates[left];
  form.elements.last.value = dates[right];
  rows().forEach((row, number) => (row.querySelector("input").checked = number >= top && number <= bottom));
  draw();
  summarize();
  keepUrl();
}

function draw() {
  const [first, last] = anchor === null ? [] : [cellAt({ row: range().top, column: range().left }), cellAt({ row: range().bottom, column: range().right })];
  const hidden = !first || !last;
  if (overlay.hidden !== hidden) overlay.hidden = hidden;
  if (hidden) return;
  const [frame, a, b] = [scroll, first, last].map((one) => one.getBoundingClientRect());
  const style = { left: a.left - frame.left + scroll.scrollLeft, top: a.top - frame.top + scroll.scrollTop, width: b.right - a.left, height: b.bottom - a.top };
  for (const [name, value] of Object.entries(style)) {
    if (overlay.style[name] !== `${value}px`) overlay.style[name] = `${value}px`;
  }
}

function summarize() {
  const { first, last } = form.elements;
  const names = rows().filter((row) => row.querySelector("input").checked).length || rows().length;
  const dates = first.value && last.value ? (Date.parse(last.value) - Date.parse(first.value)) / 86400000 + 1 : 0;
  const plural = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;
  const text = dates > 0 ? `${plural(dates * names, "output")}: ${plural(dates, "date")} × ${plural(names, "processor")}` : "";
  const count = document.getElementById("marked-count");
  if (text && count.textContent !== text) count.textContent = text;
}

function keepUrl() {
  const url = new URL(location.href);
  for (const name of ["first", "last", "processor", "do"]) url.searchParams.delete(name);
  for (const [name, value] of new FormData(form)) if (value && name !== "start") url.searchParams.append(name, value);
  history.replaceState(null, "", url);
}

// The marked rectangle of the URL, where it is one and within these weeks.
function restore() {
  const dates = days();
  const [left, right] = [dates.indexOf(form.elements.first.value), dates.indexOf(form.elements.last.value)];
  const checked = rows().flatMap((row, number) => (row.querySelector("input").checked ? [number] : []));
  const adjacent = checked.every((number, at) => at === 0 || number === checked[at - 1] + 1);
  if (left >= 0 && right >= 0 && checked.length && adjacent) {
    [anchor, head] = [{ row: checked[0], column: left }, { row: checked.at(-1), column: right }];
    draw();
  }
  summarize();
}

function point(cell) {
  const position = cell && positionOf(cell);
  clearTimeout(timer);
  if (!position) return tip.hide();
  const [date, processor] = [days()[position.column], cell.parentElement.dataset.processor];
  const name = `${date} ${processor}`;
  tip.write(name, "");
  tip.place(cell.getBoundingClientRect());
  timer = setTimeout(() => explain(cell, date, processor, name), HOVER_DELAY);
}

async function explain(cell, date, processor, name) {
  const details = await read(date);
  const check = details?.processors.find((one) => one.processor === processor);
  const attempt = details?.attempts.findLast((one) => one.processor === processor);
  const words = [
    check?.verdict.replaceAll("_", " ") ?? "never enqueued",
    check && check.rows !== null ? `${check.rows} ${check.rows === 1 ? "row" : "rows"}${check.expected ? ` of ${check.expected}` : ""}` : "",
    check?.reason,
    check?.waiver ? `let pass by ${check.waiver.by}: ${check.waiver.reason}` : "",
    attempt ? `attempt ${attempt.id}: ${attempt.exit_code === null ? attempt.status : `exit ${attempt.exit_code}`}` : "",
  ];
  tip.write(name, [...new Set(words.filter(Boolean))].join("; "));
  tip.place(cell.getBoundingClientRect());
}

async function read(date) {
  const kept = known.get(date);
  if (kept && Date.now() - kept.at < FRESH) return kept.details;
  const response = await fetch(`/v1/dates/${date}`);
  const details = response.ok ? await response.json() : null;
  known.set(date, { at: Date.now(), details });
  return details;
}

function moved(key) {
  const start = head ?? { row: 0, column: 0 };
  if (key === "Home") return { ...start, column: 0 };
  if (key === "End") return { ...start, column: days().length - 1 };
  const [down, right] = head === null ? [0, 0] : STEPS[key];
  const within = (n, size) => Math.max(0, Math.min(n, size - 1));
  return { row: within(start.row + down, rows().length), column: within(start.column + right, days().length) };
}

function onKey(event) {
  if (event.target !== scroll) return;
  if (event.key === "Escape") return clear();
  if (event.key === "Enter" && head !== null) return location.assign(`/dates/${days()[head.column]}`);
  if (!(event.key in STEPS) && event.key !== "Home" && event.key !== "End") return;
  event.preventDefault();
  const to = moved(event.key);
  mark(event.shiftKey && anchor !== null ? anchor : to, to);
  cellAt(to).scrollIntoView({ block: "nearest", inline: "nearest" });
  point(cellAt(to));
}

function clear() {
  [anchor, head] = [null, null];
  overlay.hidden = true;
  tip.hide();
}

function onDown(event) {
  const position = event.target.closest("td") && positionOf(event.target.closest("td"));
  if (!position || event.button !== 0) return;
  if (event.pointerType === "mouse") event.preventDefault(); // no selection of text
  dragging = event.pointerType === "mouse";
  scroll.focus({ preventScroll: true });
  mark(event.shiftKey && anchor !== null ? anchor : position, position);
}

function onMove(event) {
  const cell = event.target.closest?.(".grid-scroll td") ?? null;
  if (dragging && cell !== null) {
    const position = positionOf(cell);
    if (position && (position.row !== head.row || position.column !== head.column)) mark(anchor, position);
  }
  if (cell !== onMove.last) point((onMove.last = cell));
}

if (form) {
  scroll.addEventListener("pointerdown", onDown);
  scroll.addEventListener("keydown", onKey);
  scroll.addEventListener("dblclick", (event) => {
    const position = event.target.closest("td") && positionOf(event.target.closest("td"));
    if (position) location.assign(`/dates/${days()[position.column]}`);
  });
  document.addEventListener("pointermove", onMove);
  document.addEventListener("pointerup", () => (dragging = false));
  scroll.addEventListener("focusout", () => tip.hide());
  form.addEventListener("input", () => { clear(); restore(); keepUrl(); });
  addEventListener("resize", draw);
  onRefresh(() => { known.clear(); draw(); });
  restore();
}
