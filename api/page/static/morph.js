// Makes an element like a fresh one and touches only what differs, so that focus, selection, scroll
// positions and open details stay as they are.

// What a person or another module has changed: it is not the server's to set again.
const OWN = new Set(["open"]);

export function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  const own = old.hasAttribute("data-keep") || (old.matches("time[data-age]") && old.dateTime === fresh.dateTime);
  syncAttributes(old, fresh);
  if (!own) morphChildren(old, fresh);
}

export function morphChildren(old, fresh) {
  let at = old.firstChild;
  for (const node of [...fresh.childNodes]) {
    const same = counterpart(old, at, node);
    if (same === null) {
      old.insertBefore(node, at);
      continue;
    }
    if (same !== at) old.insertBefore(same, at);
    else at = at.nextSibling;
    if (same.nodeType === Node.ELEMENT_NODE) morph(same, node);
    else if (same.data !== node.data) same.data = node.data;
  }
  while (at !== null) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

// An element with an id is the one with that id; any other node is the next of its kind that has none.
function counterpart(parent, at, node) {
  if (node.id) {
    const known = document.getElementById(node.id);
    return known !== null && known.parentNode === parent ? known : null;
  }
  let one = at;
  while (one !== null && (one.id || one.nodeName !== node.nodeName)) one = one.nextSibling;
  return one;
}

function syncAttributes(old, fresh) {
  for (const { name, value } of fresh.attributes) {
    if (!OWN.has(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (!OWN.has(name) && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
}
