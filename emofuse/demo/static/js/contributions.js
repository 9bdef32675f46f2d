/* Contributions: what each modality added to the probability of the leading emotion, from the base to the answer. */
import { colour, h, title } from "./dom.js";
import { emotion, t } from "./language.js";

/** The card's contents; none where there is nothing to compare: one modality, or a segment that was not weighed. */
export function contributions(answer) {
  const { view, chosen } = answer;
  const share = chosen < 0 ? view.overallContribution : view.contributions[chosen];
  if (!share || Object.keys(share.values).length < 2) return [];
  const some =
    share.of && share.of < view.segments.length
      ? h("p", { class: "emo-hint" }, t("contributions_some", { n: share.of, total: view.segments.length }))
      : null;
  return [
    title(t("contributions")),
    h(
      "p",
      { class: "emo-hint" },
      t("contributions_to"),
      " ",
      h("span", { class: "emo-tag", style: { "--c": colour(share.emotion) } }, emotion(share.emotion)),
    ),
    h("div", { class: "emo-shares", style: { "--c": colour(share.emotion) } }, ...steps(share)),
    some,
  ];
}

function steps(share) {
  let at = share.none;
  const rows = [step(t("contributions_base"), 0, at, "emo-base", (100 * at).toFixed(1))];
  for (const [modality, value] of Object.entries(share.values)) {
    const told = `${value < 0 ? "−" : "+"}${Math.abs(100 * value).toFixed(1)}`;
    rows.push(step(t(`modality_${modality}`), at, at + value, value < 0 ? "emo-minus" : "emo-plus", told));
    at += value;
  }
  rows.push(step(t("contributions_answer"), 0, share.full, "emo-full", (100 * share.full).toFixed(1)));
  return rows;
}

function step(label, from, to, kind, told) {
  const style = { left: `${100 * Math.min(from, to)}%`, width: `${Math.max(0.4, 100 * Math.abs(to - from))}%` };
  return h(
    "div",
    { class: "emo-share" },
    h("span", {}, label),
    h("span", { class: "emo-track" }, h("i", { class: kind, style })),
    h("b", {}, told),
  );
}
