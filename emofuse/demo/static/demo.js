/* What the page draws by itself: answers, their timeline, the live view. No library, nothing fetched but the upload. */
(() => {
  "use strict";
  const TEXTS = window.EMOFUSE_TEXTS;
  const MODALITIES = ["text", "speech", "face"];
  const stored = (key) => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  };
  const store = (key, value) => {
    try {
      localStorage.setItem(key, value);
    } catch {
      /* private window */
    }
  };

  /* ---- language and theme ---- */
  const asked = new URLSearchParams(location.search).get("lang");
  const wish = asked || stored("emofuse-language") || navigator.language || "en";
  let language = wish.toLowerCase().startsWith("zh") ? "zh" : "en";
  const own = () => (language === "zh" ? "zh-CN" : "en");
  Object.defineProperty(navigator, "language", { get: own, configurable: true });
  Object.defineProperty(navigator, "languages", { get: () => [own()], configurable: true });
  document.documentElement.lang = own();

  const t = (key, values = {}) => (TEXTS[language][key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

  function speak(next) {
    language = next;
    store("emofuse-language", next);
    document.documentElement.lang = own();
    window.dispatchEvent(new Event("emofuse-language"));
    return language;
  }

  const dark = () => document.body.classList.contains("dark");
  function shade(wanted) {
    if (dark() !== (wanted === "dark")) document.body.classList.toggle("dark", wanted === "dark");
    document.documentElement.style.colorScheme = wanted;
  }
  window.addEventListener("DOMContentLoaded", () => {
    const keep = () => {
      const chosen = stored("emofuse-theme");
      if (chosen) shade(chosen);
    };
    keep();
    new MutationObserver(keep).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  });

  /* ---- small helpers ---- */
  const SVG = "http://www.w3.org/2000/svg";
  function put(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (name === "style") for (const [k, v] of Object.entries(value)) node.style.setProperty(k, v);
      else node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
    return node;
  }
  const h = (tag, attributes, ...children) => put(document.createElement(tag), attributes, children);
  const g = (tag, attributes, ...children) => put(document.createElementNS(SVG, tag), attributes, children);
  const decode = (b64) => JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(b64), (c) => c.charCodeAt(0))));
  const percent = (p) => `${Math.round(100 * p)}%`;
  const colour = (name) => `var(--emo-${name})`;
  const emotion = (name) => t(`emotion_${name}`);
  const argmax = (row) => row.indexOf(Math.max(...row));
  const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
  function clock(seconds, tenths = true) {
    const unit = tenths ? 10 : 1,
      all = Math.round(seconds * unit),
      minutes = Math.floor(all / (60 * unit));
    const rest = (all / unit - minutes * 60).toFixed(tenths ? 1 : 0);
    return `${minutes}:${rest.padStart(tenths ? 4 : 2, "0")}`;
  }
  const title = (text, hint) => h("h3", {}, text, hint ? h("span", { class: "emo-hint" }, hint) : null);

  /* ---- what outlives a redraw: the chosen segment and emotion, and the visitor's own copy of the clip ---- */
  const memory = {};
  const remember = (name) => (memory[name] ??= { chosen: -1, emotion: null, media: null, player: null });

  const pause = (ms) => new Promise((done) => setTimeout(done, ms));

  /* What lies in a box, once it is all there: a recording that runs is ended, and one that travels is waited for. */
  async function arrived(name, file) {
    const box = document.getElementById(`emo-in-${name}`),
      kept = remember(name);
    const stop = [...box.querySelectorAll("button.stop-button")].find((button) => button.checkVisibility());
    stop?.click();
    const patience = Date.now() + 20000;
    const uploading = () => box.querySelector(".uploading");
    const recorded = () => (stop || box.querySelector(".play-pause-button")) && Date.now() < patience;
    while (!file && (uploading() || recorded())) {
      await pause(100);
      file = kept.lies;
    }
    return file;
  }

  async function take(name, lying, audio) {
    const file = await arrived(name, lying),
      kept = remember(name);
    if (kept.media) URL.revokeObjectURL(kept.media.url);
    Object.assign(kept, { chosen: -1, emotion: null, media: null, player: null });
    const source = file && (file.url || file.path);
    if (!source) return file;
    const answer = await fetch(source);
    if (!answer.ok) return file;
    const blob = await answer.blob();
    kept.media = { url: URL.createObjectURL(blob), blob, audio, name: file.orig_name || "clip" };
    return file;
  }

  /* Drawn into a shadow, because Gradio makes an element's children match the HTML it was sent: none. */
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(document.getElementById("emofuse-style").textContent);

  class Drawn extends HTMLElement {
    static observedAttributes = ["data-view", "data-state"];

    constructor() {
      super();
      this.root = this.attachShadow({ mode: "open" });
      this.root.adoptedStyleSheets = [sheet];
      this.redraw = () => this.draw();
      this.watcher = new ResizeObserver(() => this.resized());
    }

    connectedCallback() {
      window.addEventListener("emofuse-language", this.redraw);
      this.refresh();
      this.watcher.observe(this);
    }

    attributeChangedCallback() {
      if (this.isConnected) this.refresh();
    }

    disconnectedCallback() {
      window.removeEventListener("emofuse-language", this.redraw);
      this.watcher.disconnect();
      cancelAnimationFrame(this.frame);
    }

    refresh() {
      const packed = this.dataset.view || this.dataset.state;
      this.view = packed ? decode(packed) : null;
      this.draw();
    }

    show(...nodes) {
      this.root.replaceChildren(...nodes);
    }

    resized() {}
  }

  class Answer extends Drawn {
    refresh() {
      this.name = this.getAttribute("name");
      this.memory = remember(this.name);
      super.refresh();
    }

    resized() {
      if (this.lane && Math.abs(this.lane.clientWidth - this.width) > 4) this.drawTimeline();
    }

    get shown() {
      return this.memory.chosen < 0 ? this.view.overall : this.view.segments[this.memory.chosen];
    }

    get emotionShown() {
      const chosen = this.memory.emotion;
      if (chosen) return chosen;
      const row = this.view.overall?.emotions;
      return row ? this.view.emotions[argmax(row)] : this.view.emotions[0];
    }

    draw() {
      const { view } = this;
      if (this.memory.chosen >= view.segments.length) this.memory.chosen = -1;
      this.lane = this.still = null;
      if (!view.overall) {
        this.show(
          h(
            "div",
            { class: "emo" },
            view.done ? h("p", { class: "emo-empty" }, t("no_predictions")) : null,
            this.notes(),
            this.files(),
          ),
        );
        return;
      }
      const stage = this.stage();
      const clocked = view.segments.some((s) => s.end > s.start);
      this.head = h("section", { class: "emo-card emo-head" });
      this.bars = h("section", { class: "emo-card" });
      this.shares = h("section", { class: "emo-card" });
      this.show(
        h(
          "div",
          { class: "emo" },
          this.head,
          h("div", { class: stage && !stage.hasAttribute("data-heard") ? "emo-two" : "emo-one" }, stage, this.bars),
          clocked ? this.timeline() : null,
          this.words(),
          this.shares,
          this.notes(),
          this.files(),
        ),
      );
      this.drawChosen();
      if (clocked) this.drawTimeline();
    }

    drawChosen() {
      this.drawHead();
      this.drawBars();
      this.drawShares();
      this.drawStage();
      for (const span of this.root.querySelectorAll("[data-segment]"))
        span.classList.toggle("emo-chosen", Number(span.dataset.segment) === this.memory.chosen);
    }

    choose(index, seconds = null) {
      this.memory.chosen = index;
      const player = this.memory.player;
      if (player && index >= 0) player.currentTime = seconds ?? this.view.segments[index].start;
      this.drawChosen();
      if (this.lane) this.drawTimeline();
    }

    /* the headline */
    drawHead() {
      const p = this.shown,
        { view, memory } = this,
        chosen = memory.chosen;
      const whole = h(
        "button",
        {
          type: "button",
          class: "emo-chip",
          "aria-pressed": String(chosen < 0),
          title: t("whole_hint"),
          onclick: () => this.choose(-1),
        },
        t(view.kind === "text" ? "whole_text" : "whole"),
      );
      const where =
        chosen < 0
          ? null
          : h(
              "span",
              { class: "emo-where" },
              t("segment", { n: chosen + 1, total: view.segments.length }),
              p.end > p.start ? ` · ${clock(p.start)}–${clock(p.end)}` : "",
              this.several ? ` · ${this.who(p.person)}` : "",
            );
      const scope = view.segments.length > 1 ? h("div", { class: "emo-scope" }, whole, where) : null;
      if (!p.emotions) {
        this.head.replaceChildren(...[scope, h("p", {}, t("none_emotion")), this.gauges(p)].filter(Boolean));
        return;
      }
      const lead = argmax(p.emotions),
        name = view.emotions[lead];
      this.head.style.setProperty("--lead", colour(name));
      this.head.replaceChildren(
        ...[
          scope,
          h(
            "div",
            { class: "emo-lead" },
            h("span", { class: "emo-lead-name", "data-testid": "leading" }, emotion(name)),
            h("span", { class: "emo-lead-share" }, percent(p.emotions[lead])),
            h("span", { class: "emo-lead-what" }, t("confidence")),
          ),
          this.possible(p),
          this.gauges(p),
        ].filter(Boolean),
      );
    }

    possible(p) {
      const set = p.possible;
      if (!set) return null;
      const coverage = percent(set.coverage);
      if (set.names.length < 2) return set.promised ? h("p", { class: "emo-possible" }, t("sure", { coverage })) : null;
      return h(
        "p",
        { class: "emo-possible", "data-testid": "possible" },
        t(set.promised ? "unsure" : "unsure_guess", { coverage }),
        " ",
        ...set.names.map((name) => h("span", { class: "emo-tag", style: { "--c": colour(name) } }, emotion(name))),
      );
    }

    gauges(p) {
      const rows = [];
      if (p.polarity) {
        const parts = Object.entries(p.polarity);
        const said = parts.map(([name, x]) => `${t(`polarity_${name}`)} ${percent(x)}`).join(", ");
        rows.push(
          h(
            "div",
            { class: "emo-gauge" },
            h("span", {}, t("polarity")),
            h(
              "div",
              { class: "emo-stack", role: "img", "aria-label": said, title: said },
              ...parts.map(([name, x]) =>
                h(
                  "i",
                  { class: `emo-pol-${name}`, style: { width: `${100 * x}%` } },
                  x > 0.24 ? `${t(`polarity_${name}`)} ${percent(x)}` : "",
                ),
              ),
            ),
          ),
        );
      }
      for (const [name, low] of [
        ["intensity", 0],
        ["valence", -1],
        ["arousal", -1],
      ]) {
        if (p[name] === null || p[name] === undefined) {
          if (name === "intensity")
            rows.push(
              h(
                "div",
                { class: "emo-gauge" },
                h("span", {}, t(name)),
                h("span", { class: "emo-unknown" }, t("not_taught")),
              ),
            );
          continue;
        }
        const at = clamp((p[name] - low) / (1 - low), 0, 1),
          from = low < 0 ? Math.min(0.5, at) : 0;
        const size = low < 0 ? Math.abs(at - 0.5) : at;
        const value = low < 0 && p[name] > 0 ? `+${p[name].toFixed(2)}` : p[name].toFixed(2);
        const level = name === "intensity" && p.level ? t(`level_${p.level}`) : value;
        rows.push(
          h(
            "div",
            { class: "emo-gauge" },
            h("span", {}, t(name)),
            h(
              "div",
              {
                class: `emo-track ${low < 0 ? "emo-middle" : ""}`,
                role: "meter",
                "aria-label": t(name),
                "aria-valuemin": low,
                "aria-valuemax": 1,
                "aria-valuenow": p[name].toFixed(2),
              },
              h("i", { style: { left: `${100 * from}%`, width: `${100 * size}%` } }),
            ),
            h("b", { title: value }, level),
          ),
        );
      }
      return rows.length ? h("div", { class: "emo-gauges" }, ...rows) : null;
    }

    get several() {
      return new Set(this.view.segments.map((s) => s.person).filter((x) => x !== null)).size > 1;
    }

    who(person) {
      return person === null ? t("nobody") : t("person", { n: person + 1 });
    }

    /* bars for all seven; pressing one draws its lines */
    drawBars() {
      const p = this.shown,
        row = p.emotions;
      if (!row) {
        this.bars.hidden = true;
        return;
      }
      this.bars.hidden = false;
      this.bars.replaceChildren(
        title(t("emotions")),
        h(
          "div",
          { class: "emo-bars" },
          ...this.view.emotions.map((name, i) => {
            const chosen = this.emotionShown === name;
            return h(
              "button",
              {
                type: "button",
                class: "emo-bar",
                "aria-pressed": String(chosen),
                "aria-label": `${emotion(name)} ${percent(row[i])}`,
                "data-emotion": name,
                style: { "--c": colour(name) },
                onclick: () => {
                  this.memory.emotion = name;
                  this.drawBars();
                  if (this.lane) this.drawTimeline();
                  this.root.querySelector(`[data-emotion="${name}"]`)?.focus();
                },
              },
              h("span", {}, emotion(name)),
              h("span", { class: "emo-track" }, h("i", { style: { width: `${100 * row[i]}%` } })),
              h("b", {}, percent(row[i])),
            );
          }),
        ),
      );
    }

    /* the clip itself where the browser can play it, else the frame of the chosen segment; faces boxed and named */
    stage() {
      const { view, memory } = this,
        media = view.playable ? memory.media : null;
      const stills = view.stills.some(Boolean);
      if (!media && !stills) return null;
      this.still = h("img", { class: "emo-still", alt: "" });
      this.boxes = g("svg", {
        class: "emo-boxes",
        viewBox: "0 0 1 1",
        preserveAspectRatio: "none",
        "aria-hidden": "true",
      });
      this.names = h("div", { class: "emo-names" });
      if (media && !memory.player) {
        memory.player = h(media.audio ? "audio" : "video", {
          src: media.url,
          controls: true,
          playsinline: true,
          preload: "auto",
          "aria-label": media.name,
        });
        memory.player.addEventListener("error", () => {
          memory.unplayable = true;
          memory.player = null;
          this.draw();
        });
        memory.unplayable = false;
      }
      if (memory.unplayable) memory.player = null;
      const player = media && !memory.unplayable ? memory.player : null;
      if (player) {
        player.ontimeupdate = player.onseeked = () => this.tick();
        player.onplay = () => this.follow();
      }
      const moving = player && player.tagName === "VIDEO";
      const heard = player && !moving && !stills;
      return h(
        "section",
        { class: "emo-card", "data-heard": heard },
        title(t(heard ? "heard" : "frames")),
        moving || stills
          ? h("div", { class: "emo-stage" }, moving ? player : this.still, this.boxes, this.names)
          : null,
        player && !moving ? player : null,
        memory.unplayable ? h("p", { class: "emo-hint" }, t("no_picture")) : null,
        h("p", { class: "emo-hint emo-missing" }, t("no_frame")),
      );
    }

    drawStage() {
      if (!this.still) return;
      const { view, memory } = this,
        missing = this.root.querySelector(".emo-missing");
      const moving = memory.player && memory.player.tagName === "VIDEO" && this.root.contains(memory.player);
      if (moving) {
        missing.hidden = true;
        this.tick();
        return;
      }
      const index = memory.chosen < 0 ? view.stills.findIndex(Boolean) : memory.chosen,
        still = view.stills[index];
      missing.hidden = Boolean(still) || !view.stills.some(Boolean);
      this.still.parentElement?.classList.toggle("emo-none", !still);
      if (!still) return;
      this.still.src = still.src;
      this.still.alt = `${clock(still.time)} ${still.boxes.map((b) => this.who(b.person)).join(", ")}`;
      this.drawBoxes(still.boxes.map((b) => ({ ...b, colour: this.colourOf(b.person, index) })));
    }

    colourOf(person, index) {
      const at = this.view.segments[index];
      const same = this.view.segments.find((s) => s.start === at?.start && s.end === at?.end && s.person === person);
      const row = (same || at)?.emotions;
      return row ? this.view.emotions[argmax(row)] : "neutral";
    }

    drawBoxes(found) {
      this.boxes.replaceChildren(
        ...found.map(({ box: [x, y, w, hh], colour: c }) =>
          g("rect", {
            x,
            y,
            width: w,
            height: hh,
            style: { stroke: colour(c) },
            "vector-effect": "non-scaling-stroke",
          }),
        ),
      );
      this.names.replaceChildren(
        ...found.map(({ person, box: [x, y], colour: c }) =>
          h(
            "span",
            { class: "emo-name", style: { left: `${100 * x}%`, top: `${100 * y}%`, "--c": colour(c) } },
            `${this.who(person)} · ${emotion(c)}`,
          ),
        ),
      );
    }

    tick() {
      const player = this.memory.player;
      if (!player || !this.isConnected) return;
      const time = player.currentTime,
        index = this.at(time);
      if (this.playhead) {
        const x = this.x(time);
        this.playhead.setAttribute("x1", x);
        this.playhead.setAttribute("x2", x);
      }
      for (const span of this.root.querySelectorAll("[data-segment]"))
        span.classList.toggle("emo-playing", Number(span.dataset.segment) === index && !player.paused);
      if (player.tagName !== "VIDEO" || !this.boxes) return;
      const found = [];
      for (const track of this.view.tracks) {
        let best = 0;
        track.times.forEach((at, i) => {
          if (Math.abs(at - time) < Math.abs(track.times[best] - time)) best = i;
        });
        if (Math.abs(track.times[best] - time) > 0.8) continue;
        const next = track.times[best] < time ? best + 1 : best - 1,
          gap = track.times[next] - track.times[best];
        const share =
          next >= 0 && next < track.times.length && Math.abs(gap) < 1.5 && gap
            ? clamp((time - track.times[best]) / gap, 0, 1)
            : 0;
        const box = track.boxes[best].map((v, k) => (share ? v + share * (track.boxes[next][k] - v) : v));
        found.push({ person: track.person, box, colour: this.colourOf(track.person, Math.max(index, 0)) });
      }
      this.drawBoxes(found);
    }

    follow() {
      const player = this.memory.player;
      if (!player || player.paused || !this.isConnected) return;
      this.tick();
      this.frame = requestAnimationFrame(() => this.follow());
    }

    at(time) {
      const { segments } = this.view;
      const inside = segments.findIndex((s) => s.start <= time && time <= s.end);
      if (inside >= 0) return inside;
      let best = -1,
        far = Infinity;
      segments.forEach((s, i) => {
        const away = Math.min(Math.abs(s.start - time), Math.abs(s.end - time));
        if (away < far) {
          far = away;
          best = i;
        }
      });
      return far < 0.5 ? best : -1;
    }

    /* the timeline: a lane each for the fused answer (or each person's) and each modality, and their lines */
    timeline() {
      this.lane = h("div", {
        class: "emo-lane",
        role: "slider",
        tabindex: 0,
        "aria-label": t("timeline"),
        "aria-valuemin": 0,
        "aria-valuemax": Math.max(0, this.view.segments.length - 1),
        "data-testid": "timeline",
        onkeydown: (event) => this.key(event),
        onpointermove: (event) => this.hover(event),
        onpointerleave: () => this.leave(),
        onclick: (event) => {
          const time = this.timeAt(event),
            index = this.at(time);
          if (index >= 0) this.choose(index, time);
        },
      });
      this.tip = h("div", { class: "emo-tip", hidden: true, role: "status" });
      this.legend = h("p", { class: "emo-legend" });
      return h(
        "section",
        { class: "emo-card emo-timeline" },
        title(t("timeline")),
        h("div", { class: "emo-lane-box" }, this.lane, this.tip),
        this.legend,
        h("p", { class: "emo-hint" }, t("timeline_hint")),
      );
    }

    get end() {
      return Math.max(this.view.duration || 0, ...this.view.segments.map((s) => s.end), 0.1);
    }

    x(time) {
      return this.left + (this.width - this.left - 8) * clamp(time / this.end, 0, 1);
    }

    timeAt(event) {
      const box = this.lane.getBoundingClientRect();
      return clamp((event.clientX - box.left - this.left) / (this.width - this.left - 8), 0, 1) * this.end;
    }

    lanes() {
      const { segments } = this.view,
        first = segments.filter((s, i) => segments.findIndex((o) => o.start === s.start && o.end === s.end) === i);
      const lanes = this.several
        ? [...new Set(segments.map((s) => s.person))]
            .sort((a, b) => (a ?? 99) - (b ?? 99))
            .map((person) => ({
              key: "fused",
              label: this.who(person),
              tall: true,
              parts: segments.filter((s) => s.person === person).map((s) => [s, s.emotions]),
            }))
        : [{ key: "fused", label: t("fused"), tall: true, parts: segments.map((s) => [s, s.emotions]) }];
      for (const m of MODALITIES) {
        const parts = first.filter((s) => s.alone[m]).map((s) => [s, s.alone[m]]);
        if (parts.length) lanes.push({ key: m, label: t(`modality_${m}`), parts });
      }
      return { lanes: lanes.map((l) => ({ ...l, parts: l.parts.filter(([, row]) => row) })), first };
    }

    drawTimeline() {
      const { view, memory } = this,
        { lanes, first } = this.lanes();
      this.width = this.lane.clientWidth || 600;
      this.left = this.width < 480 ? 56 : 76;
      const svg = g("svg", { width: this.width, role: "presentation" });
      let y = 4;
      for (const lane of lanes) {
        const tall = lane.tall ? 24 : 13;
        svg.append(
          g("text", { x: this.left - 8, y: y + tall / 2 + 4, class: "emo-axis", "text-anchor": "end" }, lane.label),
        );
        for (const [s, row] of lane.parts) {
          const k = argmax(row),
            x = this.x(s.start),
            w = Math.max(3, this.x(s.end) - x - 1.5);
          svg.append(
            g("rect", {
              x,
              y,
              width: w,
              height: tall,
              rx: 3,
              style: { fill: colour(view.emotions[k]), "fill-opacity": 0.35 + 0.65 * row[k] },
            }),
          );
          if (lane.tall && w > 58)
            svg.append(g("text", { x: x + 7, y: y + 16, class: "emo-in" }, emotion(view.emotions[k])));
        }
        y += tall + 4;
      }
      const top = y + 8,
        tall = 120,
        bottom = top + tall,
        k = view.emotions.indexOf(this.emotionShown);
      for (const level of [0, 0.5, 1]) {
        const at = bottom - tall * level;
        svg.append(g("line", { x1: this.left, x2: this.width - 8, y1: at, y2: at, class: "emo-grid" }));
        svg.append(g("text", { x: this.left - 8, y: at + 4, class: "emo-axis", "text-anchor": "end" }, percent(level)));
      }
      const series = [
        { key: "fused", parts: first.filter((s) => s.emotions).map((s) => [s, s.emotions]) },
        ...lanes.filter((l) => l.key !== "fused"),
      ];
      for (const { key, parts } of [...series].reverse()) {
        let path = "",
          joins = "",
          last = null;
        for (const [s, row] of parts) {
          const at = bottom - tall * row[k],
            x0 = this.x(s.start),
            x1 = Math.max(x0 + 3, this.x(s.end));
          if (last) joins += `M${last[0]} ${last[1]}L${x0} ${at}`;
          path += `M${x0} ${at}L${x1} ${at}`;
          last = [x1, at];
        }
        svg.append(
          g("path", { d: joins, class: `emo-join emo-line-${key}` }),
          g("path", { d: path, class: `emo-line emo-line-${key}` }),
        );
      }
      const step =
        [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300].find((s) => this.end / s <= (this.width < 480 ? 5 : 9)) || 600;
      for (let at = 0; at <= this.end + 1e-6; at += step)
        svg.append(
          g(
            "text",
            { x: this.x(at), y: bottom + 18, class: "emo-axis", "text-anchor": "middle" },
            step < 1 ? clock(at) : clock(at, false),
          ),
        );
      const chosen = view.segments[memory.chosen];
      if (chosen)
        svg.prepend(
          g("rect", {
            x: this.x(chosen.start) - 2,
            y: 0,
            rx: 4,
            class: "emo-span",
            width: Math.max(5, this.x(chosen.end) - this.x(chosen.start)) + 3,
            height: bottom + 4,
          }),
        );
      this.cursor = g("line", { y1: 0, y2: bottom, class: "emo-cursor", visibility: "hidden" });
      this.playhead = g("line", { x1: -9, x2: -9, y1: 0, y2: bottom, class: "emo-playhead" });
      svg.append(this.cursor, this.playhead);
      svg.setAttribute("height", bottom + 24);
      this.lane.replaceChildren(svg);
      const spoken = chosen ? this.describe(chosen) : `${t("whole")}: ${this.leadingOf(view.overall.emotions)}`;
      this.lane.setAttribute("aria-valuetext", spoken);
      this.lane.setAttribute("aria-valuenow", Math.max(0, memory.chosen));
      this.legend.replaceChildren(
        h(
          "span",
          {},
          t("timeline_of"),
          " ",
          h("span", { class: "emo-tag", style: { "--c": colour(this.emotionShown) } }, emotion(this.emotionShown)),
        ),
        ...series.map(({ key }) =>
          h(
            "span",
            { class: "emo-key" },
            put(
              g("svg", { width: 26, height: 10 }, g("path", { d: "M1 5L25 5", class: `emo-line emo-line-${key}` })),
              {},
              [],
            ),
            key === "fused" ? t("fused") : t(`modality_${key}`),
          ),
        ),
      );
    }

    leadingOf(row) {
      if (!row) return "–";
      const k = argmax(row);
      return `${emotion(this.view.emotions[k])} ${percent(row[k])}`;
    }

    describe(s) {
      return `${clock(s.start)}–${clock(s.end)}: ${this.leadingOf(s.emotions)}`;
    }

    said(index) {
      const s = this.view.segments[index];
      const runs = this.view.words.filter(
        (r) =>
          r.segment !== null &&
          this.view.segments[r.segment].start === s.start &&
          this.view.segments[r.segment].end === s.end,
      );
      return join(runs.flatMap((r) => r.words.map((w) => w.text)));
    }

    hover(event) {
      const time = this.timeAt(event),
        index = this.at(time),
        x = this.x(time);
      this.cursor.setAttribute("x1", x);
      this.cursor.setAttribute("x2", x);
      this.cursor.setAttribute("visibility", "visible");
      this.tip.hidden = index < 0;
      if (index < 0) return;
      const s = this.view.segments[index],
        said = this.said(index);
      const ranked = s.emotions
        ? s.emotions
            .map((p, k) => [p, k])
            .sort((a, b) => b[0] - a[0])
            .slice(0, 3)
        : [];
      this.tip.replaceChildren(
        h("b", {}, `${clock(s.start)}–${clock(s.end)}`),
        this.several ? h("span", {}, ` · ${this.who(s.person)}`) : "",
        said ? h("q", {}, said) : null,
        h(
          "dl",
          {},
          h("dt", {}, t("fused")),
          h("dd", {}, ranked.map(([p, k]) => `${emotion(this.view.emotions[k])} ${percent(p)}`).join(", ")),
          ...MODALITIES.filter((m) => s.alone[m]).flatMap((m) => [
            h("dt", {}, t(`modality_${m}`)),
            h("dd", {}, this.leadingOf(s.alone[m])),
          ]),
        ),
      );
      const wide = this.tip.offsetWidth;
      this.tip.style.left = `${clamp(x + 12 + wide > this.width ? x - wide - 12 : x + 12, 0, Math.max(0, this.width - wide))}px`;
    }

    leave() {
      this.cursor.setAttribute("visibility", "hidden");
      this.tip.hidden = true;
    }

    key(event) {
      const last = this.view.segments.length - 1,
        now = this.memory.chosen;
      const to = {
        ArrowRight: now + 1,
        ArrowDown: now + 1,
        ArrowLeft: now - 1,
        ArrowUp: now - 1,
        Home: 0,
        End: last,
        Escape: -1,
      }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      this.choose(clamp(to, -1, last));
    }

    /* words */
    words() {
      if (!this.view.words.length) return null;
      const paragraph = h("p", { class: "emo-words", lang: "" });
      this.view.words.forEach((run, n) => {
        const row = run.segment === null ? null : this.view.segments[run.segment].emotions;
        const name = row ? this.view.emotions[argmax(row)] : null;
        const texts = run.words.map((w) => w.text);
        if (n) paragraph.append(" ");
        paragraph.append(
          run.segment === null
            ? h("span", {}, join(texts))
            : h(
                "button",
                {
                  type: "button",
                  class: "emo-run",
                  "data-segment": run.segment,
                  style: name ? { "--c": colour(name) } : {},
                  title: row ? this.leadingOf(row) : "",
                  onclick: () => this.choose(run.segment),
                },
                join(texts),
              ),
        );
      });
      return h(
        "section",
        { class: "emo-card" },
        title(t("words")),
        paragraph,
        h("p", { class: "emo-hint" }, t("words_hint")),
      );
    }

    /* what each modality contributed */
    drawShares() {
      const { view, memory } = this;
      const share = memory.chosen < 0 ? view.overallShare : view.shares[memory.chosen];
      this.shares.hidden = !view.overall.emotions;
      if (!share) {
        const why = view.done ? "contributions_none" : "contributions_wait";
        this.shares.replaceChildren(title(t("contributions")), h("p", { class: "emo-hint" }, t(why)));
        return;
      }
      const row = (label, from, to, kind, told) =>
        h(
          "div",
          { class: "emo-share" },
          h("span", {}, label),
          h(
            "span",
            { class: "emo-track" },
            h("i", {
              class: kind,
              style: {
                left: `${100 * Math.min(from, to)}%`,
                width: `${Math.max(0.4, 100 * Math.abs(to - from))}%`,
              },
            }),
          ),
          h("b", {}, told),
        );
      let at = share.none;
      const rows = [row(t("contributions_base"), 0, at, "emo-base", (100 * at).toFixed(1))];
      for (const [m, value] of Object.entries(share.values)) {
        rows.push(
          row(
            t(`modality_${m}`),
            at,
            at + value,
            value < 0 ? "emo-minus" : "emo-plus",
            `${value < 0 ? "−" : "+"}${Math.abs(100 * value).toFixed(1)}`,
          ),
        );
        at += value;
      }
      rows.push(row(t("contributions_answer"), 0, share.full, "emo-full", (100 * share.full).toFixed(1)));
      const some =
        share.of && share.of < view.segments.length
          ? h("p", { class: "emo-hint" }, t("contributions_some", { n: share.of, total: view.segments.length }))
          : null;
      this.shares.style.setProperty("--c", colour(share.emotion));
      this.shares.replaceChildren(
        title(t("contributions")),
        h(
          "p",
          { class: "emo-hint" },
          t("contributions_to"),
          " ",
          h("span", { class: "emo-tag", style: { "--c": colour(share.emotion) } }, emotion(share.emotion)),
        ),
        h("div", { class: "emo-shares" }, ...rows),
        ...(some ? [some] : []),
      );
    }

    notes() {
      if (!this.view.done) return null;
      const lines = this.view.notes.map((note) => h("li", {}, note[language]));
      return h(
        "section",
        { class: "emo-card", "data-testid": "notes" },
        title(t("notes")),
        lines.length ? h("ul", { class: "emo-notes" }, ...lines) : h("p", { class: "emo-hint" }, t("no_notes")),
      );
    }

    files() {
      const types = { json: "application/json", csv: "text/csv", srt: "application/x-subrip" };
      const links = Object.entries(this.view.files).map(([ending, text]) =>
        h(
          "a",
          {
            class: "emo-file",
            href: "#",
            role: "button",
            "data-testid": `download-${ending}`,
            onclick: (event) => {
              event.preventDefault();
              const url = URL.createObjectURL(new Blob([text], { type: types[ending] }));
              h("a", { href: url, download: `${this.view.stem}.${ending}` }).click();
              setTimeout(() => URL.revokeObjectURL(url), 10000);
            },
          },
          ending.toUpperCase(),
        ),
      );
      return links.length ? h("div", { class: "emo-files" }, h("span", {}, t("download")), ...links) : null;
    }
  }

  const wordless = /[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]/;
  const join = (words) =>
    words.reduce(
      (all, word) => (all && !(wordless.test(all.slice(-1)) && wordless.test(word[0])) ? `${all} ${word}` : all + word),
      "",
    );

  /* ---- where it is, and what went wrong ---- */
  class Status extends Drawn {
    draw() {
      const s = this.view;
      if (!s) {
        this.show();
        return;
      }
      if (s.error) {
        const values = s.values || {},
          detail = s.detail || (s.error !== "error_media" ? t(`${s.error}_detail`, values) : "");
        this.show(
          h(
            "div",
            { class: "emo-error", role: "alert" },
            h("b", {}, t(s.error)),
            s.error === "error_media" ? h("p", {}, t("error_media_hint")) : null,
            h("p", { lang: s.detail ? "en" : null }, detail),
          ),
        );
        return;
      }
      const busy = ["queued", "starting", "reading", "explaining"].includes(s.stage);
      const found = s.count ? t(s.count === 1 ? "found_one" : "found", { n: s.count }) : "";
      const text =
        s.stage === "reading"
          ? [
              s.total
                ? t("reading", { done: clock(s.done, false), total: clock(s.total, false) })
                : t("reading_open", { done: clock(s.done, false) }),
              found,
            ]
              .filter(Boolean)
              .join(" · ")
          : t(s.stage, { seconds: s.seconds, place: s.place }) + (s.deleted ? ` ${t("deleted")}` : "");
      const share = s.stage === "explaining" ? 1 : s.total ? s.done / s.total : null;
      this.show(
        h(
          "div",
          { class: "emo-status", role: "status" },
          busy
            ? h("progress", { max: 1, value: share === null ? null : clamp(share, 0, 1), "aria-label": text })
            : null,
          h("span", {}, text),
        ),
      );
    }
  }

  class Empty extends Drawn {
    draw() {
      this.show(
        h(
          "div",
          { class: "emo-blank" },
          h(
            "div",
            { class: "emo-blank-bars", "aria-hidden": "true" },
            ...["joy", "surprise", "neutral", "sadness", "anger"].map((name) =>
              h("i", { style: { background: colour(name) } }),
            ),
          ),
          h("p", {}, h("b", {}, t("empty"))),
          h("p", { class: "emo-hint" }, t("empty_hint")),
        ),
      );
    }
  }

  /* ---- live ---- */
  class Live extends Drawn {
    resized() {
      if (Math.abs(this.clientWidth - this.width) > 4) this.draw();
    }

    draw() {
      const { view } = this;
      this.width = this.clientWidth || 600;
      if (!view) {
        this.show(h("div", { class: "emo-blank" }, h("p", {}, h("b", {}, t("live_waiting")))));
        return;
      }
      const names = view.emotions,
        last = view.points[view.points.length - 1],
        row = last.emotions;
      const lead = row ? argmax(row) : -1;
      const head = h(
        "section",
        { class: "emo-card emo-head", style: { "--lead": row ? colour(names[lead]) : "transparent" } },
        row
          ? h(
              "div",
              { class: "emo-lead" },
              h("span", { class: "emo-lead-name", "data-testid": "live-leading" }, emotion(names[lead])),
              h("span", { class: "emo-lead-share" }, percent(row[lead])),
              h("span", { class: "emo-lead-what" }, view.present.map((m) => t(`modality_${m}`)).join(" + ")),
            )
          : h("p", {}, t("live_listening")),
        h(
          "p",
          { class: "emo-latency", title: t("live_latency_hint"), "data-testid": "latency" },
          `${t("live_latency")} ${(1000 * view.latency).toFixed(0)} ms · ${t("live_median")} ${(1000 * view.median).toFixed(0)} ms`,
        ),
      );
      const still = view.still
        ? h(
            "section",
            { class: "emo-card" },
            h(
              "div",
              { class: "emo-stage" },
              h("img", { src: view.still.src, alt: "", class: "emo-still" }),
              g(
                "svg",
                { class: "emo-boxes", viewBox: "0 0 1 1", preserveAspectRatio: "none" },
                ...view.still.boxes.map(({ box: [x, y, w, hh] }) =>
                  g("rect", {
                    x,
                    y,
                    width: w,
                    height: hh,
                    "vector-effect": "non-scaling-stroke",
                    style: { stroke: row ? colour(names[lead]) : "currentColor" },
                  }),
                ),
              ),
            ),
          )
        : null;
      const bars = row
        ? h(
            "section",
            { class: "emo-card" },
            h(
              "div",
              { class: "emo-bars" },
              ...names.map((name, k) =>
                h(
                  "div",
                  { class: "emo-bar", style: { "--c": colour(name) } },
                  h("span", {}, emotion(name)),
                  h("span", { class: "emo-track" }, h("i", { style: { width: percent(row[k]) } })),
                  h("b", {}, percent(row[k])),
                ),
              ),
            ),
          )
        : null;
      this.show(
        h(
          "div",
          { class: "emo" },
          head,
          h("section", { class: "emo-card" }, title(t("timeline")), this.rolling()),
          still || bars ? h("div", { class: still && bars ? "emo-two" : "" }, still, bars) : null,
        ),
      );
    }

    rolling() {
      const { view } = this,
        names = view.emotions,
        width = this.width - 34,
        left = 56,
        tall = 120,
        top = 34;
      const now = view.points[view.points.length - 1].at,
        from = now - view.shown;
      const x = (at) => left + ((width - left - 6) * (at - from)) / view.shown;
      const svg = g("svg", { width, height: top + tall + 24, role: "img", "aria-label": t("timeline") });
      for (const level of [0, 0.5, 1]) {
        const y = top + tall * (1 - level);
        svg.append(
          g("line", { x1: left, x2: width - 6, y1: y, y2: y, class: "emo-grid" }),
          g("text", { x: left - 8, y: y + 4, class: "emo-axis", "text-anchor": "end" }, percent(level)),
        );
      }
      view.points.forEach((p, i) => {
        const until = view.points[i + 1] ? Math.min(view.points[i + 1].at, p.at + 3) : p.at + 0.6;
        if (p.emotions) {
          const k = argmax(p.emotions);
          svg.append(
            g("rect", {
              x: Math.max(left, x(p.at)),
              y: 6,
              height: 18,
              width: Math.max(2, x(Math.min(until, now)) - x(p.at) + 0.6),
              style: { fill: colour(names[k]), "fill-opacity": 0.35 + 0.65 * p.emotions[k] },
            }),
          );
        }
      });
      const last = view.points[view.points.length - 1].emotions;
      const k = last ? argmax(last) : 1;
      for (const key of ["face", "speech", "text", "fused"]) {
        let d = "",
          pen = false;
        for (const p of view.points) {
          const row = key === "fused" ? p.emotions : p.alone[key];
          if (!row) {
            pen = false;
            continue;
          }
          d += `${pen ? "L" : "M"}${x(p.at).toFixed(1)} ${(top + tall * (1 - row[k])).toFixed(1)}`;
          pen = true;
        }
        if (d) svg.append(g("path", { d, class: `emo-line emo-line-${key}` }));
      }
      for (const ago of [0, 15, 30, 45])
        if (ago <= view.shown)
          svg.append(
            g(
              "text",
              { x: x(now - ago), y: top + tall + 18, class: "emo-axis", "text-anchor": ago ? "middle" : "end" },
              ago ? `−${ago} s` : t("live_now"),
            ),
          );
      return h(
        "div",
        { "data-testid": "rolling" },
        svg,
        h(
          "p",
          { class: "emo-legend" },
          h(
            "span",
            {},
            t("timeline_of"),
            " ",
            h("span", { class: "emo-tag", style: { "--c": colour(names[k]) } }, emotion(names[k])),
          ),
          ...["fused", ...MODALITIES]
            .filter((key) => key === "fused" || view.points.some((p) => p.alone[key]))
            .map((key) =>
              h(
                "span",
                { class: "emo-key" },
                g("svg", { width: 26, height: 10 }, g("path", { d: "M1 5L25 5", class: `emo-line emo-line-${key}` })),
                key === "fused" ? t("fused") : t(`modality_${key}`),
              ),
            ),
        ),
      );
    }
  }

  customElements.define("emofuse-answer", Answer);
  customElements.define("emofuse-status", Status);
  customElements.define("emofuse-empty", Empty);
  customElements.define("emofuse-live", Live);

  /* On a phone the answer stands below what was asked: go there. */
  document.addEventListener("click", (event) => {
    const go = event.target.closest?.("[id^=emo-go-]"),
      answer = go && document.getElementById(go.id.replace("go", "answer"));
    if (answer && answer.getBoundingClientRect().top > 0.7 * innerHeight) answer.scrollIntoView({ block: "start" });
  });

  /* Gradio offers to record before its encoder, a worker, has said that it can: who presses then gets an error and silence.
     Recording is stopped and begun again until the encoder is there. */
  let attempts = 0;
  window.addEventListener("unhandledrejection", (event) => {
    const sound = document.querySelector("#emo-live-sound");
    if (!sound || !/audio\/wav|not a constructor/.test(event.reason?.message) || ++attempts > 40) return;
    event.preventDefault();
    sound.querySelector("button.stop-button")?.click();
    setTimeout(() => sound.querySelector("button.record-button")?.click(), 250);
  });

  /* ---- what the server's components call ---- */
  window.emofuse = {
    language: () => language,
    take,
    lies(name, file) {
      remember(name).lies = file;
      return [file];
    },
    chosen: (name) => memory[name]?.chosen ?? -1,
    /* In place where an answer would be lost, else anew, so that the boxes speak the language too. */
    switchLanguage() {
      const next = speak(language === "en" ? "zh" : "en");
      if (!document.querySelector("emofuse-answer"))
        if (location.search) location.href = location.pathname;
        else location.reload();
      return next;
    },
    switchTheme() {
      const next = dark() ? "light" : "dark";
      store("emofuse-theme", next);
      shade(next);
    },
    /* The visitor's own copy of the material, handed back for a correction they agreed to. */
    async lend(name) {
      const media = memory[name]?.media;
      if (!media) return "";
      const form = new FormData();
      form.append("files", new File([media.blob], media.name, { type: media.blob.type }));
      const root = (window.gradio_config?.root || "").replace(/\/$/, "");
      const answer = await fetch(`${root}/gradio_api/upload`, { method: "POST", body: form });
      if (!answer.ok) return "";
      const [path] = await answer.json();
      return path;
    },
  };
})();
