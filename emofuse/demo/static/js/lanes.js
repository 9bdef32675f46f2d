/* Lanes: strips of segments in the colour of their leading emotion, labelled with its name. */
import { argmax, colour, g } from "./dom.js";
import { emotion, t } from "./language.js";

export const MODALITIES = ["text", "speech", "face"];
const TALL = 20;
const WIDE = { en: 6.6, zh: 12.5 };
/* Pixels of a letter of a label. */

/** {key, label, parts: [[segment, row]]} for each person or the whole, and for each modality where there are several. */
export function lanesOf(answer) {
  const { segments } = answer.view;
  const same = (a) => (b) => a.start === b.start && a.end === b.end;
  const first = segments.filter((s, i) => segments.findIndex(same(s)) === i);
  const people = [...new Set(segments.map((s) => s.person))].sort((a, b) => (a ?? 99) - (b ?? 99));
  const whole = { key: "fused", label: t("fused"), parts: segments.map((s) => [s, s.emotions]) };
  const each = (person) => ({
    key: "fused",
    label: answer.who(person),
    parts: segments.filter((s) => s.person === person).map((s) => [s, s.emotions]),
  });
  const unimodal = MODALITIES.map((m) => ({
    key: m,
    label: t(`modality_${m}`),
    parts: first.filter((s) => s.unimodal[m]).map((s) => [s, s.unimodal[m]]),
  })).filter((lane) => lane.parts.length);
  const lanes = [...(answer.several ? people.map(each) : [whole]), ...(unimodal.length > 1 ? unimodal : [])];
  const lines = [{ ...whole, parts: first.map((s) => [s, s.emotions]) }, ...lanes.filter((l) => l.key !== "fused")];
  const answered = (lane) => ({ ...lane, parts: lane.parts.filter(([, row]) => row) });
  return { lanes: lanes.map(answered), lines: lines.map(answered) };
}

/** Draw the lanes from a height on; the height below them. `x` maps seconds to pixels, `left` is where they begin. */
export function drawLanes(svg, lanes, names, { x, left, top }) {
  let y = top;
  for (const lane of lanes) {
    svg.append(g("text", { x: left - 8, y: y + 14, class: "emo-axis", "text-anchor": "end" }, lane.label));
    strip(
      svg,
      lane.parts.map(([s, row]) => [x(s.start), x(s.end), row]),
      names,
      y,
    );
    y += TALL + 4;
  }
  return y;
}

/** One strip of [from, to, row], in pixels; neighbours of one emotion share a label. */
export function strip(svg, parts, names, y) {
  const runs = [];
  for (const [from, to, row] of parts) {
    const k = argmax(row);
    const width = Math.max(3, to - from - 1.5);
    const style = { fill: colour(names[k]), "fill-opacity": 0.35 + 0.65 * row[k] };
    const said = g("title", {}, `${emotion(names[k])} ${Math.round(100 * row[k])}%`);
    svg.append(g("rect", { x: from, y, width, height: TALL, rx: 3, style, class: "emo-strip" }, said));
    const last = runs.at(-1);
    if (last?.k === k && from - last.to < 6) last.to = from + width;
    else runs.push({ k, from, to: from + width });
  }
  for (const { k, from, to } of runs) {
    const text = short(emotion(names[k]), to - from - 8);
    if (text) svg.append(g("text", { x: from + 5, y: y + 14, class: "emo-in" }, text));
  }
}

/** As much of a name as a width takes, but not less than its first letters. */
function short(name, width) {
  const letter = name.charCodeAt(0) > 0x2e80 ? WIDE.zh : WIDE.en;
  const most = Math.floor(width / letter);
  if (most >= name.length) return name;
  return most >= 3 ? `${name.slice(0, most - 1)}.` : "";
}
