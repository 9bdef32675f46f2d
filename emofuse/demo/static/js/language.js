/* The language of the page, and its texts. */
import { store, stored } from "./dom.js";

const TEXTS = JSON.parse(document.getElementById("emofuse-texts").textContent);
const CHANGED = "emofuse-language";
const asked = new URLSearchParams(location.search).get("lang");
const wish = asked || stored(CHANGED) || navigator.language || "en";
let now = wish.toLowerCase().startsWith("zh") ? "zh" : "en";

const own = () => (now === "zh" ? "zh-CN" : "en");
/* Gradio asks the browser, which may speak another language than the visitor chose. */
Object.defineProperty(navigator, "language", { get: own, configurable: true });
Object.defineProperty(navigator, "languages", { get: () => [own()], configurable: true });
document.documentElement.lang = own();

export const language = () => now;
/** A text of the page, its {blanks} filled in. */
export const t = (key, values = {}) => (TEXTS[now][key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
export const emotion = (name) => t(`emotion_${name}`);

/** Names as a choice: "anger or neutral", "anger, fear or neutral". */
export function either(names) {
  const said = names.map(emotion);
  if (said.length < 2) return said.join("");
  return `${said.slice(0, -1).join(t("list_comma"))}${t("list_or")}${said.at(-1)}`;
}

export function onLanguage(redraw) {
  window.addEventListener(CHANGED, redraw);
}

/** The other of the two languages, from now on. */
export function switchLanguage() {
  now = now === "en" ? "zh" : "en";
  store(CHANGED, now);
  document.documentElement.lang = own();
  window.dispatchEvent(new Event(CHANGED));
  return now;
}
