/* The stage: the clip itself where the browser can play it, else frames of it; faces boxed and named. */
import { argmax, card, clamp, clock, colour, g, h, title } from "./dom.js";
import { emotion, t } from "./language.js";

export class Stage {
  constructor(answer) {
    this.answer = answer;
    const { view, panel } = answer;
    this.pictured = view.thumbnails.some(Boolean);
    this.player = view.playable && panel.media ? this.playing() : null;
    this.moving = this.player?.tagName === "VIDEO";
    this.heard = Boolean(this.player) && !this.moving && !this.pictured;
    this.still = h("img", { class: "emo-still", alt: "" });
    this.boxes = g("svg", {
      class: "emo-boxes",
      viewBox: "0 0 1 1",
      preserveAspectRatio: "none",
      "aria-hidden": "true",
    });
    this.names = h("div", { class: "emo-names" });
    this.missing = h("p", { class: "emo-hint", hidden: true }, t("no_frame"));
    this.card = this.player || this.pictured ? this.whole() : null;
  }

  whole() {
    const { unplayable } = this.answer.panel;
    const seen = this.moving || this.pictured;
    return card(
      {},
      title(t(this.heard ? "heard" : "frames")),
      seen ? h("div", { class: "emo-stage" }, this.moving ? this.player : this.still, this.boxes, this.names) : null,
      this.player && !this.moving ? this.player : null,
      unplayable ? h("p", { class: "emo-hint" }, t("no_picture")) : null,
      this.missing,
    );
  }

  /** The player of the visitor's own copy, made once for every answer; null where the browser cannot play it. */
  playing() {
    const { panel } = this.answer;
    if (panel.unplayable) return null;
    if (!panel.player) {
      const { url, audio, name } = panel.media;
      const said = { src: url, controls: true, playsinline: true, preload: "auto", "aria-label": name };
      panel.player = h(audio ? "audio" : "video", said);
      panel.player.addEventListener("error", () => {
        Object.assign(panel, { unplayable: true, player: null });
        panel.answer.draw(panel.answer.view);
      });
    }
    panel.player.ontimeupdate = panel.player.onseeked = () => this.tick();
    panel.player.onplay = () => this.follow();
    return panel.player;
  }

  redraw() {
    if (!this.card) return;
    if (this.moving) {
      this.tick();
      return;
    }
    const { view, chosen } = this.answer;
    const index = chosen < 0 ? view.thumbnails.findIndex(Boolean) : chosen;
    const still = view.thumbnails[index];
    this.missing.hidden = Boolean(still) || !this.pictured;
    this.still.parentElement?.classList.toggle("emo-none", !still);
    if (!still) return;
    this.still.src = still.src;
    this.still.alt = `${clock(still.time)} ${still.boxes.map((b) => this.answer.who(b.person)).join(", ")}`;
    this.frame(still.boxes.map((b) => ({ ...b, name: this.leading(b.person, index) })));
  }

  /** The leading emotion of a person in a segment. */
  leading(person, index) {
    const { segments, emotions } = this.answer.view;
    const at = segments[index];
    const same = segments.find((s) => s.start === at?.start && s.end === at?.end && s.person === person);
    const row = (same || at)?.emotions;
    return row ? emotions[argmax(row)] : "neutral";
  }

  frame(found) {
    const outline = ({ box: [x, y, width, height], name }) =>
      g("rect", { x, y, width, height, style: { stroke: colour(name) }, "vector-effect": "non-scaling-stroke" });
    const label = ({ person, box: [x, y], name }) =>
      h(
        "span",
        { class: "emo-name", style: { left: `${100 * x}%`, top: `${100 * y}%`, "--c": colour(name) } },
        `${this.answer.who(person)} · ${emotion(name)}`,
      );
    this.boxes.replaceChildren(...found.map(outline));
    this.names.replaceChildren(...found.map(label));
  }

  /** Move the playhead, the boxes and the mark on the words to where the player is. */
  tick() {
    const { player, answer } = this;
    if (!player || !this.card.isConnected) return;
    const time = player.currentTime;
    const index = answer.at(time);
    answer.timeline?.playAt(time);
    for (const run of answer.root.querySelectorAll("[data-segment]"))
      run.classList.toggle("emo-playing", Number(run.dataset.segment) === index && !player.paused);
    if (!this.moving) return;
    const seen = answer.view.tracks.map((track) => [track.person, boxAt(track, time)]).filter(([, box]) => box);
    this.frame(seen.map(([person, box]) => ({ person, box, name: this.leading(person, Math.max(index, 0)) })));
  }

  follow() {
    if (!this.player || this.player.paused || !this.card.isConnected) return;
    this.tick();
    requestAnimationFrame(() => this.follow());
  }
}

/** Where a person is at a moment, between the two nearest sightings; null where the nearest is too far off. */
function boxAt({ times, boxes }, time) {
  const away = times.map((at) => Math.abs(at - time));
  const best = away.indexOf(Math.min(...away));
  if (!(away[best] <= 0.8)) return null;
  const next = times[best] < time ? best + 1 : best - 1;
  const gap = times[next] - times[best];
  if (!gap || Math.abs(gap) >= 1.5) return boxes[best];
  const share = clamp((time - times[best]) / gap, 0, 1);
  return boxes[best].map((v, k) => v + share * (boxes[next][k] - v));
}
