/* Live: one start for the microphone and the camera, and the last seconds read over and over. */
import { rows } from "./bars.js";
import { argmax, card, colour, g, h, percent, title } from "./dom.js";
import { put } from "./drop.js";
import { emotion, onLanguage, t } from "./language.js";
import { mount } from "./mount.js";
import { lend } from "./panels.js";
import { Recorder } from "./recorder.js";
import { rolling } from "./rolling.js";
import { problem } from "./status.js";

const EVERY = 1000;
/* Milliseconds from one turn to the next. */
let recorder = null;
let recorded = null;
let refused = null;
let begun = 0;
let component = null;
let again = () => {};

export function live(given) {
  component = given;
  const beside = h("div", { class: "emo-live-in" });
  const out = h("div", { class: "emo emo-live-out" });
  const draw = (root, value) => {
    if (!out.isConnected) root.replaceChildren(h("div", { class: "emo-live" }, beside, out));
    if (value?.ended && recorder) stop();
    out.replaceChildren(...answer(out, value));
  };
  again = () => {
    beside.replaceChildren(...input());
    out.replaceChildren(...answer(out, component.props.value));
    recorder?.video.play().catch(() => {});
  };
  onLanguage(again);
  again();
  mount(component, draw, draw);
}

async function start() {
  try {
    refused = null;
    recorder = await Recorder.start();
  } catch (error) {
    refused = error;
  }
  again();
  if (!recorder) return;
  component.trigger("begin");
  setTimeout(turn, EVERY);
}

async function stop() {
  const ending = recorder;
  recorder = null;
  recorded = ending && (await ending.stop());
  again();
}

function turn() {
  if (!recorder) return;
  begun = Date.now();
  component.trigger("turn");
}

/** What was heard and seen since last time, sent; [sound, picture] as paths. */
export async function sense() {
  if (!recorder) return ["", ""];
  return Promise.all([lend(recorder.sound()), lend(await recorder.picture())]);
}

/** One turn is over: begin the next when its time has come. */
export function sensed() {
  setTimeout(turn, Math.max(0, EVERY - (Date.now() - begun)));
  return [];
}

/** The whole recording into the box of files, to be read there. */
function read() {
  put(recorded);
  recorded = null;
  again();
  document.getElementById("emo-tab-file-button")?.click();
  requestAnimationFrame(() => document.querySelector("#emo-go-file")?.click());
}

function input() {
  const go = recorder
    ? h(
        "button",
        { type: "button", class: "emo-button emo-recording", "data-testid": "live-stop", onclick: stop },
        t("live_stop"),
      )
    : h(
        "button",
        { type: "button", class: "emo-button", "data-testid": "live-start", onclick: start },
        t("live_start"),
      );
  const whole =
    recorded && !recorder
      ? h("button", { type: "button", class: "emo-chip", "data-testid": "live-read", onclick: read }, t("live_read"))
      : null;
  const missing =
    recorder && !(recorder.hears && recorder.sees) && t(recorder.hears ? "live_no_camera" : "live_no_sound");
  return [
    recorder?.sees ? recorder.video : null,
    h("div", { class: "emo-row" }, go, whole),
    h("p", { class: "emo-hint" }, missing || t("live_hint", { seconds: component.props.seconds })),
    refused ? problem({ error: "error_devices", detail: "" }) : null,
  ].filter(Boolean);
}

function answer(out, value) {
  if (value?.error) return [problem(value)];
  if (!value?.points) return recorder ? [h("p", { class: "emo-card" }, t("live_listening"))] : [];
  const row = value.points.at(-1).emotions;
  const lead = row ? value.emotions[argmax(row)] : null;
  const seen = value.still?.boxes.length ? card({}, picture(value.still, lead)) : null;
  const chart = row && card({}, h("div", { class: "emo-bars" }, ...rows(value.emotions, row)));
  return [
    h(
      "section",
      { class: "emo-card emo-head", style: { "--lead": lead ? colour(lead) : "transparent" } },
      ...head(value, row, lead),
    ),
    card({}, title(t("timeline")), rolling(value, out.clientWidth || 600)),
    seen || chart ? h("div", { class: seen && chart ? "emo-two" : "emo-one" }, seen, chart) : null,
  ].filter(Boolean);
}

function head(value, row, lead) {
  const late = `${t("live_latency")} ${(1000 * value.latency).toFixed(0)} ms · ${t("live_median")} ${(1000 * value.median).toFixed(0)} ms`;
  const leading = row
    ? h(
        "div",
        { class: "emo-lead", style: { "--lead": colour(lead) } },
        h("span", { class: "emo-lead-name", "data-testid": "live-leading" }, emotion(lead)),
        h("span", { class: "emo-lead-share" }, percent(Math.max(...row))),
        h("span", { class: "emo-lead-what" }, value.present.map((m) => t(`modality_${m}`)).join(" + ")),
      )
    : h("p", {}, t("live_listening"));
  return [leading, h("p", { class: "emo-hint", title: t("live_latency_hint"), "data-testid": "latency" }, late)];
}

function picture(still, lead) {
  const stroke = lead ? colour(lead) : "currentColor";
  const outline = ({ box: [x, y, width, height] }) =>
    g("rect", { x, y, width, height, "vector-effect": "non-scaling-stroke", style: { stroke } });
  const boxes = g(
    "svg",
    { class: "emo-boxes", viewBox: "0 0 1 1", preserveAspectRatio: "none" },
    ...still.boxes.map(outline),
  );
  return h("div", { class: "emo-stage" }, h("img", { src: still.src, alt: "", class: "emo-still" }), boxes);
}
