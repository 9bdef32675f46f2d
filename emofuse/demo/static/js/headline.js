/* The headline of an answer: which emotions it could be, how sure that is, and what to know beside it. */
import { argmax, clock, colour, h, percent } from "./dom.js";
import { gauges } from "./gauges.js";
import { either, emotion, language, t } from "./language.js";

const MOST = 3;
/* Names that still make a headline; of more, only the leading one is named. */

/** The whole or the chosen segment, as a card's contents. */
export function headline(answer) {
  const p = answer.shown;
  const names = p.emotions ? couldBe(answer, p) : [];
  return [
    scope(answer, p),
    names.length ? lead(answer, p, names) : h("p", {}, t("none_emotion")),
    names.length ? sureness(p, names) : null,
    hints(answer),
    gauges(p),
  ];
}

/** The emotions of the headline: those of the set where it is small enough to name, else the leading one. */
function couldBe(answer, p) {
  const top = answer.view.emotions[argmax(p.emotions)];
  const set = p.possible?.names ?? [];
  return set.length > 1 && set.length <= MOST ? set : [top];
}

function lead(answer, p, names) {
  const top = answer.view.emotions[argmax(p.emotions)];
  const wide = (p.possible?.names.length ?? 0) > MOST;
  const share = Math.max(...p.emotions);
  return h(
    "div",
    { class: "emo-lead", style: { "--lead": colour(top) } },
    h("span", { class: "emo-lead-name", "data-testid": "leading" }, wide ? t("unclear") : either(names)),
    wide || names.length > 1
      ? h("span", { class: "emo-lead-what" }, `${t("most_likely")} ${emotion(top)}, ${percent(share)}`)
      : [
          h("span", { class: "emo-lead-share" }, percent(share)),
          h("span", { class: "emo-lead-what" }, t("confidence")),
        ],
  );
}

/** What the set promises: that the true emotion is in it so often, or only that it holds so much probability. */
function sureness(p, names) {
  const set = p.possible;
  if (!set) return null;
  const coverage = percent(set.coverage);
  if (set.names.length < 2) return set.promised ? h("p", { class: "emo-possible" }, t("sure", { coverage })) : null;
  if (names.length > 1)
    return h("p", { class: "emo-possible" }, t(set.promised ? "set_promised" : "set_guess", { coverage }));
  return h(
    "p",
    { class: "emo-possible", "data-testid": "possible" },
    t(set.promised ? "unsure" : "unsure_guess", { coverage }),
    " ",
    ...set.names.map((name) => h("span", { class: "emo-tag", style: { "--c": colour(name) } }, emotion(name))),
  );
}

/** Notes in plain words; one that asks for the words leads to where they are typed. */
function hints(answer) {
  const { view, chosen } = answer;
  const found = chosen < 0 ? view.hints : view.segments[chosen].hints;
  if (!found?.length) return null;
  return h(
    "ul",
    { class: "emo-plain", "data-testid": "hints" },
    ...found.map((hint) =>
      h(
        "li",
        { "data-code": hint.code, class: hint.code === "unfamiliar" ? "emo-unlike" : null },
        hint.asks
          ? h("button", { type: "button", class: "emo-link", onclick: askForWords }, hint[language()])
          : hint[language()],
      ),
    ),
  );
}

/** Lead to the field for words: unfold it, which Gradio takes a moment for, and be there. */
function askForWords() {
  const words = () => document.querySelector("#emo-words-file textarea");
  if (!words()?.checkVisibility()) document.querySelector("#emo-more-file button")?.click();
  let tries = 60;
  const go = () => {
    if (!words()?.checkVisibility()) {
      if (tries-- > 0) setTimeout(go, 50);
      return;
    }
    words().scrollIntoView({ block: "center" });
    words().focus();
  };
  go();
}

/** Where the headline is from: the whole, with a way back to it, or a segment. */
function scope(answer, p) {
  const { view, chosen } = answer;
  if (view.segments.length < 2) return null;
  const whole = h(
    "button",
    {
      type: "button",
      class: "emo-chip",
      "aria-pressed": String(chosen < 0),
      title: t("whole_hint"),
      onclick: () => answer.choose(-1),
    },
    t(view.kind === "text" ? "whole_text" : "whole"),
  );
  if (chosen < 0) return h("div", { class: "emo-scope" }, whole);
  const when = answer.timed && p.end > p.start ? ` · ${clock(p.start)}–${clock(p.end)}` : "";
  const who = answer.several ? ` · ${answer.who(p.person)}` : "";
  const where = `${t("segment", { n: chosen + 1, total: view.segments.length })}${when}${who}`;
  return h("div", { class: "emo-scope" }, whole, h("span", { class: "emo-where" }, where));
}
