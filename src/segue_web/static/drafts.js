// Unfinished work outlives a reload of the page, in its window and with its video.

import { state } from "./state.js";

/** what may be unfinished, by name: what there is of it, null for nothing, and how it is taken up again
 * @type {Map<string, {read: () => unknown, resume: (draft: any) => void}>}
 */
const parts = new Map();

const place = () => `segue-drafts ${state.video.number ?? ""} ${state.video.name}`;

/** Have a part of the page keep its unfinished work. */
export function keepDrafts(
  /** @type {string} */ name,
  /** @type {() => unknown} */ read,
  /** @type {(draft: any) => void} */ resume,
) {
  parts.set(name, { read, resume });
}

/** Save what is unfinished. */
export function saveDrafts() {
  if (state.mode !== "annotate") return;
  const drafts = [...parts].map(([name, { read }]) => [name, read()]).filter(([, draft]) => draft !== null);
  if (drafts.length) sessionStorage.setItem(place(), JSON.stringify(Object.fromEntries(drafts)));
}

/** Take up what was unfinished when the page was left. */
export function resumeDrafts() {
  const saved = sessionStorage.getItem(place());
  sessionStorage.removeItem(place());
  for (const [name, draft] of Object.entries(JSON.parse(saved ?? "{}"))) parts.get(name)?.resume(draft);
}

addEventListener("pagehide", saveDrafts);
