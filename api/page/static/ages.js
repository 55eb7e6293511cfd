// The server writes absolute times; here they become ages, or the time that is left.

export function format(seconds) {
  const s = Math.abs(Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d`;
}

// The words belong to the age: the absolute time reads right without them, where no script runs.
function sentence(age, word) {
  return word === "ago" ? `${age} ago` : word === "for" ? `for ${age}` : age;
}

export function tick() {
  for (const time of document.querySelectorAll("time[data-age]")) {
    const text = sentence(format((Date.now() - Date.parse(time.dateTime)) / 1000), time.dataset.age);
    if (time.textContent !== text) time.textContent = text;
  }
}
