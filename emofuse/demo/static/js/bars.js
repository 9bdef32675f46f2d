/* Bars: the probability of every emotion, the most probable first. */
import { colour, h, percent, ranked, title } from "./dom.js";
import { emotion, t } from "./language.js";

/** The rows of one distribution; `choose(name)` makes them buttons, `chosen` is the one pressed. */
export function rows(names, row, choose = null, chosen = null) {
  return ranked(row).map(([p, k]) => {
    const name = names[k];
    const pressed = choose && {
      type: "button",
      "aria-pressed": String(chosen === name),
      "aria-label": `${emotion(name)} ${percent(p)}`,
      onclick: () => choose(name),
    };
    return h(
      choose ? "button" : "div",
      { ...pressed, class: "emo-bar", "data-emotion": name, style: { "--c": colour(name) } },
      h("span", {}, emotion(name)),
      h("span", { class: "emo-track" }, h("i", { style: { width: percent(p) } })),
      h("b", {}, percent(p)),
    );
  });
}

/** The card's contents; pressing a bar draws its lines on the timeline, where there is one. */
export function bars(answer) {
  const row = answer.shown.emotions;
  if (!row) return [];
  const choose = (name) => {
    answer.panel.emotion = name;
    answer.redraw();
    answer.root.querySelector(`[data-emotion="${name}"]`)?.focus();
  };
  const pressed = answer.charted ? [choose, answer.emotionShown] : [];
  return [title(t("emotions")), h("div", { class: "emo-bars" }, ...rows(answer.view.emotions, row, ...pressed))];
}
