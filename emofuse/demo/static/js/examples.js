/* The examples: thumbnails that put a file, or words, in and have it read at once. */
import { put } from "./drop.js";

let picked = null;

/** Note which thumbnail is pressed, and tell Gradio. */
export function examples({ element, trigger }) {
  element.addEventListener("click", (event) => {
    const thumbnail = event.target.closest("[data-example]");
    if (!thumbnail) return;
    picked = thumbnail.dataset;
    trigger("pick");
  });
}

async function fetched(name) {
  const answer = await fetch(new URL(`../samples/${name}`, import.meta.url));
  return answer.ok ? answer : null;
}

/** The words that belong to what was picked; its file lies in the box by then. */
export async function pick() {
  const { example, words } = picked;
  if (!example) return words ?? "";
  const answer = await fetched(example);
  if (answer) {
    const blob = await answer.blob();
    put(new File([blob], example, { type: blob.type }));
  }
  return words ? ((await (await fetched(words))?.text()) ?? "") : "";
}
