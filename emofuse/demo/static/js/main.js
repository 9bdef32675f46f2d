/* The page's script: what the server's components call. No library, nothing fetched from elsewhere. */
import { answers } from "./answer.js";
import { drop, wordsGiven } from "./drop.js";
import { examples, pick } from "./examples.js";
import { language, switchLanguage } from "./language.js";
import { live, sense, sensed } from "./live.js";
import { lend, panel, send } from "./panels.js";
import { statuses } from "./status.js";
import { keepTheme, switchTheme } from "./theme.js";

keepTheme();

window.emofuse = {
  mount: { answers, drop, examples, live, statuses },
  language,
  switchLanguage,
  switchTheme,
  send,
  pick,
  sense,
  sensed,
  sendWords: () => lend(wordsGiven()),
  chosen: (name) => panel(name).chosen,
  /* The visitor's own copy of the material, handed back for a correction they agreed to. */
  lend: (name) => lend(panel(name).media?.file),
};
