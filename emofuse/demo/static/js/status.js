/* The status: where the work is, the place in the queue with how long that may take, and what went wrong. */
import { clamp, clock, h } from "./dom.js";
import { t } from "./language.js";
import { mount } from "./mount.js";
import { panel } from "./panels.js";

const BUSY = ["sending", "queued", "starting", "reading", "explaining"];

/** Draw what the server says of a panel's work, and what the page says before the server does. */
export function statuses(name, component) {
  let since = Date.now();
  let last = null;
  let own = null;
  let shownRoot = null;
  const draw = (root, state) => {
    shownRoot = root;
    const before = busy(own ?? last);
    if (state !== last) [last, own, since] = [state, null, Date.now()];
    const kept = panel(name);
    if (state && !state.kept && !busy(state)) kept.sent = null;
    root.replaceChildren(...[shown(own ?? state, since)].filter(Boolean));
    if (!before && busy(own ?? state)) follow(root);
  };
  const counted = () => last?.stage === "queued" && last.wait && shownRoot?.isConnected && draw(shownRoot, last);
  panel(name).status = (state) => {
    own = state;
    if (shownRoot) draw(shownRoot, last);
    follow(shownRoot);
  };
  mount(component, draw);
  setInterval(counted, 1000);
}

const busy = (state) => BUSY.includes(state?.stage);

/** On a phone the answer stands below what was asked: go there. */
function follow(root) {
  if (root && root.getBoundingClientRect().top > 0.7 * innerHeight) root.scrollIntoView({ block: "start" });
}

function shown(state, since) {
  if (!state) return null;
  if (state.error) return problem(state);
  const text = told(state, since);
  const share = state.stage === "explaining" ? 1 : state.total ? clamp(state.done / state.total, 0, 1) : null;
  return h(
    "div",
    { class: "emo-status", role: "status", "data-stage": state.stage },
    busy(state) ? h("progress", { max: 1, value: share, "aria-label": text }) : null,
    h("span", {}, text),
  );
}

function told(state, since) {
  if (state.stage === "queued") return queued(state, since);
  if (state.stage !== "reading")
    return `${t(state.stage, { seconds: state.seconds })}${state.deleted ? ` ${t("deleted")}` : ""}`;
  const [done, total] = [clock(state.done, false), clock(state.total ?? 0, false)];
  const read = state.total ? t("reading", { done, total }) : t("reading_open", { done });
  return state.count ? `${read} · ${t(state.count === 1 ? "found_one" : "found", { n: state.count })}` : read;
}

/** The place, and about how long it will be: counted down, and rounded so that it promises no more than it knows. */
function queued({ place, wait }, since) {
  const before = t(place === 1 ? "queued_one" : "queued", { place });
  if (!wait) return `${before}.`;
  const left = wait - (Date.now() - since) / 1000;
  const seconds = { n: 5 * Math.round(left / 5) };
  const about = left < 60 ? t("wait_seconds", seconds) : t("wait_minutes", { n: Math.round(left / 60) });
  return `${before}, ${left < 5 ? t("wait_moment") : about}`;
}

/** What went wrong, and what to do. */
export function problem({ error, detail, values = {} }) {
  const media = error === "error_media";
  return h(
    "div",
    { class: "emo-error", role: "alert" },
    h("b", {}, t(error)),
    media ? h("p", {}, t("error_media_hint")) : null,
    h("p", { lang: detail ? "en" : null }, detail || (media ? "" : t(`${error}_detail`, values))),
  );
}
