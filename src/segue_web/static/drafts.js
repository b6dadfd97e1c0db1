// Unfinished work survives a reload of the page, in its window and for its video.

import { go } from "./playback.js";
import { state } from "./state.js";

/** @typedef {import("./places.js").Point} Point */

/** what may be unfinished, by name: what there is of it, null for nothing, and how it is taken up again
 * @type {Map<string, {read: () => unknown, resume: (draft: any) => void}>}
 */
const parts = new Map();

const place = () => `segue-drafts ${state.folder}`;

/** Have a part of the page keep its unfinished work. */
export function keepDrafts(
  /** @type {string} */ name,
  /** @type {() => unknown} */ read,
  /** @type {(draft: any) => void} */ resume,
) {
  parts.set(name, { read, resume });
}

/** Have a tool keep the corners that are drawn, with their frame and object. */
export function keepPath(
  /** @type {"polygon" | "shape"} */ name,
  /** @type {{path: Point[], resume: (corners: Point[]) => void}} */ tool,
) {
  keepDrafts(
    name,
    () => (tool.path.length ? { frame: state.frame, object: state.object, path: tool.path } : null),
    (/** @type {{frame: number, object: number | null, path: Point[]}} */ { frame, object, path }) => {
      go(frame);
      if (object === null) state.chooseNew();
      else if (state.objects.some(({ id }) => id === object)) state.choose(object);
      state.tool = name;
      tool.resume(path);
    },
  );
}

/** Save unfinished work. */
export function saveDrafts() {
  if (state.mode !== "annotate") return;
  const drafts = [...parts].map(([name, { read }]) => [name, read()]).filter(([, draft]) => draft !== null);
  if (drafts.length) sessionStorage.setItem(place(), JSON.stringify(Object.fromEntries(drafts)));
}

/** Resume the unfinished work of the previous page. */
export function resumeDrafts() {
  const saved = sessionStorage.getItem(place());
  sessionStorage.removeItem(place());
  for (const [name, draft] of Object.entries(JSON.parse(saved ?? "{}"))) parts.get(name)?.resume(draft);
}

addEventListener("pagehide", saveDrafts);
// Changes wait for those before them, perhaps for a network that is being loaded: the browser asks whether to leave.
addEventListener("beforeunload", (event) => {
  if (state.pending) event.preventDefault();
});
