// The tip beside a square of the calendar or a cell of the grid.

const tip = Object.assign(document.createElement("div"), { className: "tip", id: "tip", hidden: true });
tip.setAttribute("role", "status");
document.body.append(tip);

export function write(name, text) {
  const strong = Object.assign(document.createElement("strong"), { textContent: name });
  tip.replaceChildren(strong, ` ${text}`);
  tip.hidden = false;
  return tip.textContent;
}

// Below the box, or above it where there is no room; coordinates of the window.
export function place({ x, y, height }) {
  const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
  const below = y + height + 8 + tip.offsetHeight < innerHeight;
  tip.style.left = `${Math.max(8, Math.min(x, room))}px`;
  tip.style.top = `${below ? y + height + 8 : y - tip.offsetHeight - 8}px`;
}

export function hide() {
  tip.hidden = true;
}
