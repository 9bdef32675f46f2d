/* Panels: what the page remembers of each of its inputs and answers, whatever is drawn anew. */
const panels = {};

/** By name ("file" or "text"):
 *  file: what lies in the box, a File; sent: { file, path, at } of an upload that the server still has;
 *  waiting: the file whose answer is being made; media: { url, audio, name } of the file whose answer is shown;
 *  run: the answer that is shown; chosen: its segment, -1 for the whole; emotion: whose lines are drawn. */
export function panel(name) {
  panels[name] ??= { file: null, sent: null, waiting: null, run: null, chosen: -1, emotion: null, media: null };
  return panels[name];
}

/** The first look at another answer: what was chosen in the last one is forgotten, and its clip takes its place. */
export function adopt(name, view) {
  const kept = panel(name);
  if (kept.run === view.run) return;
  if (kept.media) URL.revokeObjectURL(kept.media.url);
  const file = kept.waiting;
  const media = file && { url: URL.createObjectURL(file), file, audio: view.kind === "speech", name: file.name };
  Object.assign(kept, { run: view.run, chosen: -1, emotion: null, player: null, unplayable: false, media });
  kept.answered?.();
}

const SETTLED = 45_000;
/* Milliseconds for which an upload that was refused for now is taken to be there still. */

async function upload(file) {
  const form = new FormData();
  form.append("files", file, file.name);
  const root = (window.gradio_config?.root || "").replace(/\/$/, "");
  const answer = await fetch(`${root}/gradio_api/upload`, { method: "POST", body: form });
  if (!answer.ok) return "failed";
  return (await answer.json())[0];
}

/** The path of what lies in a box, sent to the server anew unless it kept it; "failed" names no upload. */
export async function send(name) {
  const kept = panel(name);
  const { file, sent } = kept;
  kept.waiting = file;
  if (!file) return null;
  kept.status?.({ stage: "sending" });
  if (sent?.file !== file || Date.now() - sent.at > SETTLED)
    kept.sent = { file, path: await lend(file), at: Date.now() };
  return kept.sent.path;
}

/** A file handed to the server for one purpose. */
export async function lend(file) {
  try {
    return file ? await upload(file) : "";
  } catch {
    return "failed";
  }
}
