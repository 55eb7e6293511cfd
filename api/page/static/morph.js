// Updates an element to equal a fresh one and touches only what differs, so that focus, selection, scroll
// positions and open details stay as they are.

// Attributes that the user or another module sets: the server does not overwrite them.
const LOCAL = new Set(["open"]);

export function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  const keep = old.hasAttribute("data-keep") || (old.matches("time[data-age]") && old.dateTime === fresh.dateTime);
  syncAttributes(old, fresh);
  if (!keep) morphChildren(old, fresh);
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

// The counterpart of an element with an id has the same id; that of any other node is the next of its kind without one.
function counterpart(parent, at, node) {
  if (node.id) {
    const known = document.getElementById(node.id);
    return known !== null && known.parentNode === parent ? known : null;
  }
  let candidate = at;
  while (candidate !== null && (candidate.id || candidate.nodeName !== node.nodeName)) candidate = candidate.nextSibling;
  return candidate;
}

function syncAttributes(old, fresh) {
  for (const { name, value } of fresh.attributes) {
    if (!LOCAL.has(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (!LOCAL.has(name) && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
}
