/* Gauges: polarity, intensity, valence and arousal, each only where the model learnt it. */
import { clamp, h, percent } from "./dom.js";
import { t } from "./language.js";

const SCALES = [
  ["intensity", 0],
  ["valence", -1],
  ["arousal", -1],
];
/* [name, the least value]; the greatest is 1. */

export function gauges(p) {
  const rows = [
    p.polarity ? polarity(p.polarity) : null,
    ...SCALES.filter(([name]) => typeof p[name] === "number").map(([name, low]) => gauge(p, name, low)),
  ].filter(Boolean);
  return rows.length ? h("div", { class: "emo-gauges" }, ...rows) : null;
}

function polarity(shares) {
  const parts = Object.entries(shares);
  const said = parts.map(([name, x]) => `${t(`polarity_${name}`)} ${percent(x)}`).join(", ");
  const pieces = parts.map(([name, x]) =>
    h(
      "i",
      { class: `emo-pol-${name}`, style: { width: `${100 * x}%` } },
      x > 0.24 ? `${t(`polarity_${name}`)} ${percent(x)}` : "",
    ),
  );
  return h(
    "div",
    { class: "emo-gauge" },
    h("span", {}, t("polarity")),
    h("div", { class: "emo-stack", role: "img", "aria-label": said, title: said }, ...pieces),
  );
}

function gauge(p, name, low) {
  const at = clamp((p[name] - low) / (1 - low), 0, 1);
  const from = low < 0 ? Math.min(0.5, at) : 0;
  const size = low < 0 ? Math.abs(at - 0.5) : at;
  const value = `${low < 0 && p[name] > 0 ? "+" : ""}${p[name].toFixed(2)}`;
  return h(
    "div",
    { class: "emo-gauge", "data-gauge": name },
    h("span", {}, t(name)),
    h(
      "div",
      {
        class: `emo-track ${low < 0 ? "emo-middle" : ""}`,
        role: "meter",
        "aria-label": t(name),
        "aria-valuemin": low,
        "aria-valuemax": 1,
        "aria-valuenow": p[name].toFixed(2),
      },
      h("i", { style: { left: `${100 * from}%`, width: `${100 * size}%` } }),
    ),
    h("b", { title: value }, name === "intensity" && p.level ? t(`level_${p.level}`) : value),
  );
}
