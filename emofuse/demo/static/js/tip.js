/* The tip: what a segment of the timeline says, beside the pointer over it. */
import { clamp, clock, h, join, percent, ranked } from "./dom.js";
import { MODALITIES } from "./lanes.js";
import { emotion, t } from "./language.js";

export class Tip {
  constructor(timeline) {
    this.timeline = timeline;
    this.element = h("div", { class: "emo-tip", hidden: true, role: "status" });
    timeline.lane.addEventListener("pointermove", (event) => this.hover(event));
    timeline.lane.addEventListener("pointerleave", () => this.leave());
  }

  hover(event) {
    const { answer, cursor, width } = this.timeline;
    const time = this.timeline.timeAt(event);
    const index = answer.at(time);
    const x = this.timeline.x(time);
    for (const end of ["x1", "x2"]) cursor.setAttribute(end, x);
    cursor.setAttribute("visibility", "visible");
    this.element.hidden = index < 0;
    if (index < 0) return;
    this.element.replaceChildren(...this.told(answer, index));
    const wide = this.element.offsetWidth;
    const beside = x + 12 + wide > width ? x - wide - 12 : x + 12;
    this.element.style.left = `${clamp(beside, 0, Math.max(0, width - wide))}px`;
  }

  leave() {
    this.timeline.cursor.setAttribute("visibility", "hidden");
    this.element.hidden = true;
  }

  told(answer, index) {
    const { view } = answer;
    const s = view.segments[index];
    const words = said(view, s);
    const leading = s.emotions ? ranked(s.emotions).slice(0, 3) : [];
    const unimodal = MODALITIES.filter((m) => s.unimodal[m]);
    return [
      h("b", {}, `${clock(s.start)}–${clock(s.end)}`),
      answer.several ? h("span", {}, ` · ${answer.who(s.person)}`) : "",
      words ? h("q", {}, words) : "",
      h(
        "dl",
        {},
        h("dt", {}, t("fused")),
        h("dd", {}, leading.map(([p, k]) => `${emotion(view.emotions[k])} ${percent(p)}`).join(", ")),
        ...unimodal.flatMap((m) => [h("dt", {}, t(`modality_${m}`)), h("dd", {}, answer.leadingOf(s.unimodal[m]))]),
      ),
    ];
  }
}

/** The words of a segment, whoever of those in it they were given to. */
function said(view, { start, end }) {
  const here = ({ segment }) => {
    const s = segment === null ? null : view.segments[segment];
    return s?.start === start && s?.end === end;
  };
  return join(view.words.filter(here).flatMap((run) => run.words.map((word) => word.text)));
}
