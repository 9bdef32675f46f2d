/* An answer: its cards, and the segment that is chosen in them. */
import { bars } from "./bars.js";
import { contributions } from "./contributions.js";
import { argmax, h, percent } from "./dom.js";
import { headline } from "./headline.js";
import { emotion, t } from "./language.js";
import { mount } from "./mount.js";
import { adopt, panel } from "./panels.js";
import { Stage } from "./stage.js";
import { Timeline } from "./timeline.js";
import { files, notes, words } from "./words.js";

class Answer {
  constructor(root, name) {
    this.root = root;
    this.panel = panel(name);
    this.panel.answer = this;
  }

  get chosen() {
    return this.panel.chosen;
  }

  get shown() {
    return this.chosen < 0 ? this.view.overall : this.view.segments[this.chosen];
  }

  /** Whether seconds mean something: a text has none but those of reading it aloud. */
  get timed() {
    return this.view.kind !== "text" && this.view.segments.some((s) => s.end > s.start);
  }

  /** Whether a timeline says more than the headline: there are segments, or modalities, to compare. */
  get charted() {
    return this.timed && (this.view.segments.length > 1 || Object.keys(this.view.segments[0].unimodal).length > 1);
  }

  get several() {
    return new Set(this.view.segments.map((s) => s.person).filter((x) => x !== null)).size > 1;
  }

  get emotionShown() {
    const row = this.view.overall.emotions;
    return this.panel.emotion ?? this.view.emotions[row ? argmax(row) : 0];
  }

  who(person) {
    return person === null ? t("nobody") : t("person", { n: person + 1 });
  }

  leadingOf(row) {
    if (!row) return "–";
    const k = argmax(row);
    return `${emotion(this.view.emotions[k])} ${percent(row[k])}`;
  }

  /** The segment at a moment, or near it; -1 where there is none. */
  at(time) {
    const away = (s) =>
      s.start <= time && time <= s.end ? 0 : Math.min(Math.abs(s.start - time), Math.abs(s.end - time));
    const far = this.view.segments.map(away);
    const best = far.indexOf(Math.min(...far));
    return far[best] < 0.5 ? best : -1;
  }

  draw(view) {
    this.view = view;
    if (this.chosen >= view.segments.length) this.panel.chosen = -1;
    this.timeline = this.stage = null;
    if (!view.overall) {
      const nothing = h("p", { class: "emo-card" }, t(view.done ? "no_predictions" : "reading_first"));
      this.root.replaceChildren(h("div", told(view), nothing, notes(view), files(view)));
      return;
    }
    this.stage = new Stage(this);
    this.timeline = this.charted ? new Timeline(this) : null;
    this.slots = [headline, bars, contributions].map((fill) => [fill, h("section", { class: "emo-card" })]);
    const [head, chart, shares] = this.slots.map(([, slot]) => slot);
    head.classList.add("emo-head");
    const beside = this.stage.card && !this.stage.heard;
    this.root.replaceChildren(
      h(
        "div",
        told(view),
        head,
        h("div", { class: beside ? "emo-two" : "emo-one" }, ...[this.stage.card, chart].filter(Boolean)),
        this.timeline?.card,
        words(this),
        shares,
        files(view),
        notes(view),
      ),
    );
    this.redraw();
  }

  /** What depends on the chosen segment and emotion. */
  redraw() {
    for (const [fill, slot] of this.slots) {
      const contents = fill(this).filter(Boolean);
      slot.replaceChildren(...contents);
      slot.hidden = !contents.length;
    }
    this.stage.redraw();
    this.timeline?.redraw();
    const lead = this.shown.emotions && this.view.emotions[argmax(this.shown.emotions)];
    this.slots[0][1].style.setProperty("--lead", lead ? `var(--emo-${lead})` : "transparent");
    for (const run of this.root.querySelectorAll("[data-segment]"))
      run.classList.toggle("emo-chosen", Number(run.dataset.segment) === this.chosen);
  }

  choose(index, seconds = null) {
    this.panel.chosen = index;
    const player = this.panel.player;
    if (player && index >= 0) player.currentTime = seconds ?? this.view.segments[index].start;
    this.redraw();
  }
}

/** What the whole answer says of itself: whether it is finished, and by which name it is known. */
const told = (view) => ({ class: "emo", "data-done": String(view.done), "data-run": view.run });

/** Draw the answers of a panel. Without a value there is nothing new, and what was drawn last stays. */
export function answers(name, component) {
  let shown = null;
  const draw = (root, view) => {
    if (!view?.run) return;
    adopt(name, view);
    shown ??= new Answer(root, name);
    shown.draw(view);
  };
  mount(component, draw, () => shown?.timeline?.redraw());
}
