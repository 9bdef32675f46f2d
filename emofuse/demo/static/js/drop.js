/* The box that takes any file: it stays in the browser, and is sent when an answer is asked for. */
import { h } from "./dom.js";
import { t } from "./language.js";
import { mount } from "./mount.js";
import { panel } from "./panels.js";

const WORDS = /\.(srt|vtt|txt)$/i;
const ENDINGS = [
  ["video", /\.(mp4|mov|m4v|webm|mkv|ogv|avi|3gp)$/i],
  ["audio", /\.(wav|flac|mp3|ogg|oga|opus|m4a|aac)$/i],
  ["image", /\.(jpe?g|png|webp|bmp|gif|avif)$/i],
];
const NAME = "file";
const kept = panel(NAME);
let words = null;
let box = null;

/** What a file is, as the browser says or its ending does. */
const kindOf = (file) =>
  ["video", "audio", "image"].find((kind) => file.type.startsWith(`${kind}/`)) ??
  ENDINGS.find(([, ending]) => ending.test(file.name))?.[0] ??
  "other";

/** The box, and what it does: `component.trigger("words")` when words were put in. */
export function drop(component) {
  const input = h("input", {
    type: "file",
    "data-testid": "file-input",
    tabindex: -1,
    class: "emo-file-input",
    multiple: true,
  });
  input.addEventListener("change", () => {
    take(component, [...input.files]);
    input.value = "";
  });
  const draw = (root) => {
    box = kept.answered = () => draw(root);
    root.replaceChildren(h("div", { class: "emo-drop" }, input, kept.file ? filled() : empty(component, input)));
  };
  mount(component, draw);
  accept(component, component.element);
}

/** Put a file into the box, and show it. */
export function put(file) {
  kept.file = file;
  kept.sent = null;
  kept.problem = null;
  if (kept.preview) URL.revokeObjectURL(kept.preview);
  kept.preview = file && URL.createObjectURL(file);
  box?.();
}

/** The words that were put in last, to be sent. */
export const wordsGiven = () => words;

function take(component, files) {
  const most = component.props.megabytes;
  words = files.find((file) => WORDS.test(file.name)) ?? null;
  const media = files.find((file) => !WORDS.test(file.name));
  if (media && media.size > most * 1e6) {
    kept.problem = t("error_large_detail", { came: (media.size / 1e6).toFixed(1), valid: most });
    box?.();
  } else if (media) put(media);
  if (words) component.trigger("words");
}

function empty(component, input) {
  const { minutes, megabytes } = component.props;
  return h(
    "button",
    { type: "button", class: "emo-drop-empty", "data-testid": "drop", onclick: () => input.click() },
    h("b", {}, t("drop")),
    h("span", { class: "emo-hint" }, t("drop_hint", { minutes, megabytes })),
    kept.problem ? h("span", { class: "emo-drop-problem", role: "alert" }, kept.problem) : null,
  );
}

/** What lies in the box: to be looked at before it is read, and small beside its answer, which plays it. */
function filled() {
  const { file, preview } = kept;
  const small = kept.media?.file === file;
  const kind = kindOf(file);
  const moving = { src: preview, controls: !small, playsinline: true, preload: "metadata", "aria-label": file.name };
  const shown = { video: () => h("video", moving), audio: () => !small && h("audio", moving) };
  const node = kind === "image" ? h("img", { src: preview, alt: file.name }) : shown[kind]?.();
  if (node) node.addEventListener("error", () => node.remove());
  const away = h("button", { type: "button", class: "emo-drop-away", onclick: () => put(null) }, t("drop_away"));
  const line = h("div", { class: "emo-drop-line" }, h("p", { class: "emo-drop-name" }, file.name), away);
  return h("div", { class: `emo-drop-full ${small ? "emo-drop-small" : ""}`, "data-kind": kind }, node, line);
}

/** Dropping on the box, and pasting anywhere but into a field of words. */
function accept(component, element) {
  const over = (event) => {
    event.preventDefault();
    element.classList.toggle("emo-over", event.type === "dragover");
    if (event.type === "drop") take(component, [...event.dataTransfer.files]);
  };
  for (const type of ["dragover", "dragleave", "drop"]) element.addEventListener(type, over);
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length || event.target.closest?.("textarea, input") || !element.checkVisibility()) return;
    event.preventDefault();
    take(component, files);
  });
}
