/* The words of a clip, coloured by the emotion of their segment and labelled with it; and the files to download. */
import { argmax, card, colour, h, join, title } from "./dom.js";
import { emotion, language, t } from "./language.js";

export function words(answer) {
  const { view } = answer;
  if (!view.words.length) return null;
  const labelled = view.segments.length > 1;
  const runs = view.words.map((run) => {
    const texts = join(run.words.map((word) => word.text));
    return run.segment === null ? h("span", {}, texts) : spoken(answer, run.segment, texts, labelled);
  });
  const paragraph = h("p", { class: "emo-words", lang: "" });
  for (const run of runs) paragraph.append(run, " ");
  const hint = labelled ? h("p", { class: "emo-hint" }, t(answer.timed ? "words_hint" : "words_hint_text")) : null;
  return card({}, title(t("words")), paragraph, hint);
}

function spoken(answer, segment, texts, labelled) {
  const row = answer.view.segments[segment].emotions;
  const name = row && answer.view.emotions[argmax(row)];
  return h(
    "button",
    {
      type: "button",
      class: "emo-run",
      "data-segment": segment,
      style: name ? { "--c": colour(name) } : {},
      title: answer.leadingOf(row),
      onclick: () => answer.choose(segment),
    },
    h("span", { class: "emo-said" }, texts),
    labelled && name ? h("span", { class: "emo-run-name" }, emotion(name)) : null,
  );
}

/** What was left out, in full; folded, since what matters of it stands beside the headline. */
export function notes(view) {
  if (!view.notes.length) return null;
  return h(
    "details",
    { class: "emo-card emo-details", "data-testid": "notes" },
    h("summary", {}, t("notes")),
    h("ul", { class: "emo-notes" }, ...view.notes.map((note) => h("li", {}, note[language()]))),
  );
}

const TYPES = { json: "application/json", csv: "text/csv", srt: "application/x-subrip" };

export function files(view) {
  const links = Object.entries(view.files).map(([ending, text]) =>
    h(
      "button",
      {
        type: "button",
        class: "emo-file",
        "data-testid": `download-${ending}`,
        onclick: () => {
          const url = URL.createObjectURL(new Blob([text], { type: TYPES[ending] }));
          h("a", { href: url, download: `${view.stem}.${ending}` }).click();
          setTimeout(() => URL.revokeObjectURL(url), 10_000);
        },
      },
      ending.toUpperCase(),
    ),
  );
  return links.length ? h("div", { class: "emo-files" }, h("span", {}, t("download")), ...links) : null;
}
