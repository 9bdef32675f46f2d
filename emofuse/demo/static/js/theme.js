/* Light or dark, as the visitor chose, else as their system is. */
import { store, stored } from "./dom.js";

const KEY = "emofuse-theme";
const dark = () => document.body.classList.contains("dark");

function shade(wanted) {
  if (dark() !== (wanted === "dark")) document.body.classList.toggle("dark", wanted === "dark");
  document.documentElement.style.colorScheme = wanted;
}

export function switchTheme() {
  const next = dark() ? "light" : "dark";
  store(KEY, next);
  shade(next);
}

/** Hold on to the choice: Gradio sets the class of the body anew once it has started. */
export function keepTheme() {
  const keep = () => {
    const chosen = stored(KEY);
    if (chosen) shade(chosen);
  };
  keep();
  new MutationObserver(keep).observe(document.body, { attributes: true, attributeFilter: ["class"] });
}
