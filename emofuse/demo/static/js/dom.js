/* Elements, numbers and colours: what every part of the page is drawn with. */
const SVG = "http://www.w3.org/2000/svg";

function put(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [k, v] of Object.entries(value)) node.style.setProperty(k, v);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter(Boolean));
  return node;
}

/** An HTML element: `h("p", { class: "a", onclick }, "text", child)`; children that are null or false are left out. */
export const h = (tag, attributes, ...children) => put(document.createElement(tag), attributes, children);
/** An SVG element, in the same way. */
export const g = (tag, attributes, ...children) => put(document.createElementNS(SVG, tag), attributes, children);
/** The heading of a card. */
export const title = (text) => h("h3", {}, text);
/** A card; null where nothing is in it. */
export const card = (attributes, ...children) => {
  const filled = children.flat().filter(Boolean);
  return filled.length ? h("section", { ...attributes, class: `emo-card ${attributes.class ?? ""}` }, ...filled) : null;
};

export const percent = (p) => `${Math.round(100 * p)}%`;
export const colour = (name) => `var(--emo-${name})`;
export const argmax = (row) => row.indexOf(Math.max(...row));
export const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
/** [probability, index] of a row, the most probable first. */
export const ranked = (row) => row.map((p, k) => [p, k]).sort((a, b) => b[0] - a[0]);

/** minutes:seconds, with tenths or without. */
export function clock(seconds, tenths = true) {
  const unit = tenths ? 10 : 1;
  const all = Math.round(seconds * unit);
  const minutes = Math.floor(all / (60 * unit));
  const rest = (all / unit - minutes * 60).toFixed(tenths ? 1 : 0);
  return `${minutes}:${rest.padStart(tenths ? 4 : 2, "0")}`;
}

const wordless = /[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]/;
/** Words as a line of text: with spaces between them, but for scripts that have none. */
export const join = (words) =>
  words.reduce(
    (all, word) => (all && !(wordless.test(all.slice(-1)) && wordless.test(word[0])) ? `${all} ${word}` : all + word),
    "",
  );

/** Something kept by the browser from visit to visit; null in a private window. */
export function stored(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function store(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    /* a private window keeps nothing */
  }
}
