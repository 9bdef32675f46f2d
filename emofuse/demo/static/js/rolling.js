/* The rolling timeline of the live view: the last seconds as a strip, and the lines of the leading emotion. */
import { argmax, g, h, percent } from "./dom.js";
import { MODALITIES, strip } from "./lanes.js";
import { t } from "./language.js";
import { legend } from "./timeline.js";

const LEFT = 48;
const TOP = 34;
const TALL = 110;

export function rolling(view, outer) {
  const width = outer - 34;
  const { points } = view;
  const now = points.at(-1).at;
  const x = (at) => LEFT + ((width - LEFT - 6) * (at - now + view.shown)) / view.shown;
  const svg = g("svg", { width, height: TOP + TALL + 24, role: "img", "aria-label": t("timeline") });
  for (const level of [0, 0.5, 1]) {
    const y = TOP + TALL * (1 - level);
    svg.append(
      g("line", { x1: LEFT, x2: width - 6, y1: y, y2: y, class: "emo-grid" }),
      g("text", { x: LEFT - 8, y: y + 4, class: "emo-axis", "text-anchor": "end" }, percent(level)),
    );
  }
  strip(svg, pieces(points, now, x), view.emotions, 4);
  const last = points.at(-1).emotions;
  const k = last ? argmax(last) : 1;
  const keys = ["fused", ...MODALITIES].filter((key) => key === "fused" || points.some((p) => p.unimodal[key]));
  const drawn = keys.length > 2 ? keys : keys.slice(0, 1);
  for (const key of [...drawn].reverse())
    svg.append(g("path", { d: path(points, key, k, x), class: `emo-line emo-line-${key}` }));
  for (const ago of [0, 15, 30, 45].filter((ago) => ago <= view.shown)) {
    const said = ago ? `−${ago} s` : t("live_now");
    const anchor = ago ? "middle" : "end";
    svg.append(g("text", { x: x(now - ago), y: TOP + TALL + 18, class: "emo-axis", "text-anchor": anchor }, said));
  }
  return h(
    "div",
    { "data-testid": "rolling" },
    svg,
    h("p", { class: "emo-legend" }, ...legend(view.emotions[k], drawn)),
  );
}

/** [from, to, row] of each answered moment, until the next one, in pixels. */
function pieces(points, now, x) {
  const until = (i) => (points[i + 1] ? Math.min(points[i + 1].at, points[i].at + 3) : now);
  return points
    .map((p, i) => [Math.max(LEFT, x(p.at)), x(Math.min(until(i), now)) + 1.5, p.emotions])
    .filter(([, , row]) => row);
}

function path(points, key, k, x) {
  let d = "";
  let pen = false;
  for (const p of points) {
    const row = key === "fused" ? p.emotions : p.unimodal[key];
    if (row) d += `${pen ? "L" : "M"}${x(p.at).toFixed(1)} ${(TOP + TALL * (1 - row[k])).toFixed(1)}`;
    pen = Boolean(row);
  }
  return d;
}
