/* The timeline: strips of the answer and of each modality, and the lines of one emotion under them. */
import { card, clamp, clock, colour, g, h, percent, title } from "./dom.js";
import { drawLanes, lanesOf } from "./lanes.js";
import { emotion, t } from "./language.js";
import { Tip } from "./tip.js";

const TALL = 120;
const STEPS = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600];
/* Seconds between the marks of the axis. */

export class Timeline {
  constructor(answer) {
    this.answer = answer;
    this.end = Math.max(answer.view.duration || 0, ...answer.view.segments.map((s) => s.end), 0.1);
    this.lane = h("div", {
      class: "emo-lane",
      role: "slider",
      tabindex: 0,
      "aria-label": t("timeline"),
      "aria-valuemin": 0,
      "aria-valuemax": answer.view.segments.length - 1,
      "data-testid": "timeline",
      onkeydown: (event) => this.key(event),
      onclick: (event) => this.press(event),
    });
    this.tip = new Tip(this);
    this.legend = h("p", { class: "emo-legend" });
    this.card = card(
      { class: "emo-timeline" },
      title(t("timeline")),
      h("div", { class: "emo-lane-box" }, this.lane, this.tip.element),
      this.legend,
      h("p", { class: "emo-hint" }, t("timeline_hint")),
    );
  }

  x(time) {
    return this.left + (this.width - this.left - 8) * clamp(time / this.end, 0, 1);
  }

  timeAt(event) {
    const from = this.lane.getBoundingClientRect().left + this.left;
    return clamp((event.clientX - from) / (this.width - this.left - 8), 0, 1) * this.end;
  }

  redraw() {
    const { view } = this.answer;
    const { lanes, lines } = lanesOf(this.answer);
    this.width = this.lane.clientWidth || 600;
    this.left = this.width < 480 ? 52 : 76;
    const svg = g("svg", { width: this.width, role: "presentation" });
    const scale = { x: (time) => this.x(time), left: this.left, top: 4 };
    const top = drawLanes(svg, lanes, view.emotions, scale) + 8;
    this.bottom = top + TALL;
    this.drawGrid(svg);
    for (const line of [...lines].reverse()) this.drawLine(svg, line);
    this.drawAxis(svg);
    this.drawChosen(svg);
    this.cursor = g("line", { y1: 0, y2: this.bottom, class: "emo-cursor", visibility: "hidden" });
    this.playhead = g("line", { x1: -9, x2: -9, y1: 0, y2: this.bottom, class: "emo-playhead" });
    svg.append(this.cursor, this.playhead);
    svg.setAttribute("height", this.bottom + 24);
    this.lane.replaceChildren(svg);
    this.legend.replaceChildren(
      ...legend(
        this.answer.emotionShown,
        lines.map((line) => line.key),
      ),
    );
  }

  drawGrid(svg) {
    for (const level of [0, 0.5, 1]) {
      const y = this.bottom - TALL * level;
      svg.append(
        g("line", { x1: this.left, x2: this.width - 8, y1: y, y2: y, class: "emo-grid" }),
        g("text", { x: this.left - 8, y: y + 4, class: "emo-axis", "text-anchor": "end" }, percent(level)),
      );
    }
  }

  drawLine(svg, { key, parts }) {
    const k = this.answer.view.emotions.indexOf(this.answer.emotionShown);
    let path = "";
    let joins = "";
    let last = null;
    for (const [s, row] of parts) {
      const y = this.bottom - TALL * row[k];
      const from = this.x(s.start);
      const to = Math.max(from + 3, this.x(s.end));
      if (last) joins += `M${last[0]} ${last[1]}L${from} ${y}`;
      path += `M${from} ${y}L${to} ${y}`;
      last = [to, y];
    }
    svg.append(
      g("path", { d: joins, class: `emo-join emo-line-${key}` }),
      g("path", { d: path, class: `emo-line emo-line-${key}` }),
    );
  }

  drawAxis(svg) {
    const most = this.width < 480 ? 5 : 9;
    const step = STEPS.find((s) => this.end / s <= most) ?? 600;
    for (let at = 0; at <= this.end + 1e-6; at += step)
      svg.append(
        g(
          "text",
          { x: this.x(at), y: this.bottom + 18, class: "emo-axis", "text-anchor": "middle" },
          clock(at, step < 1),
        ),
      );
  }

  drawChosen(svg) {
    const { view, chosen } = this.answer;
    const s = view.segments[chosen];
    if (s) {
      const x = this.x(s.start) - 2;
      const width = Math.max(5, this.x(s.end) - x - 2) + 3;
      svg.prepend(g("rect", { x, y: 0, rx: 4, width, height: this.bottom + 4, class: "emo-span" }));
    }
    const said = s
      ? `${clock(s.start)}–${clock(s.end)}: ${this.answer.leadingOf(s.emotions)}`
      : `${t("whole")}: ${this.answer.leadingOf(view.overall.emotions)}`;
    this.lane.setAttribute("aria-valuetext", said);
    this.lane.setAttribute("aria-valuenow", Math.max(0, chosen));
  }

  playAt(time) {
    if (!this.playhead) return;
    for (const end of ["x1", "x2"]) this.playhead.setAttribute(end, this.x(time));
  }

  press(event) {
    const time = this.timeAt(event);
    const index = this.answer.at(time);
    if (index >= 0) this.answer.choose(index, time);
  }

  key(event) {
    const { chosen, view } = this.answer;
    const last = view.segments.length - 1;
    const keys = { ArrowRight: chosen + 1, ArrowDown: chosen + 1, ArrowLeft: chosen - 1, ArrowUp: chosen - 1 };
    const to = { ...keys, Home: 0, End: last, Escape: -1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.answer.choose(clamp(to, -1, last));
  }
}

/** What the lines are of: the emotion, and a stroke and a name for each. */
export function legend(name, keys) {
  const key = (line) =>
    h(
      "span",
      { class: "emo-key" },
      g("svg", { width: 26, height: 10 }, g("path", { d: "M1 5L25 5", class: `emo-line emo-line-${line}` })),
      line === "fused" ? t("fused") : t(`modality_${line}`),
    );
  const tag = h("span", { class: "emo-tag", style: { "--c": colour(name) } }, emotion(name));
  return [h("span", {}, t("timeline_of"), " ", tag), ...(keys.length > 1 ? keys.map(key) : [])];
}
