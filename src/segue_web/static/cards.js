// Cards of visits: an image each, what happened, and its marks.

import { make, span, within } from "./dom.js";
import { actsText, addressOf, bestView, subjectOfVisit, timesText } from "./visits.js";

/**
 * @typedef {import("./visits.js").Visit} Visit
 * @typedef {import("./visits.js").Mark} Mark
 */

/** The address of a visit on the page. @param {Visit} visit */
export const linkOf = (visit) => `#visit/${visit.place}`;

/** The image of a visit, or why there is none. @param {Visit} visit */
function imageOf(visit) {
  const best = bestView(visit);
  const none = (/** @type {string} */ text) => make("span", { className: "gone", textContent: text });
  if (!best) return none(visit.events.some(({ snapshot }) => snapshot) ? "image deleted" : "no image");
  const image = make("img", { src: addressOf(visit.camera, best.part, best.snapshot), alt: "", loading: "lazy" });
  image.onerror = () => image.replaceWith(none("no image"));
  return image;
}

/**
 * A visit with its image; a press opens it.
 * @param {Visit} visit @param {(visit: Visit) => void} open
 * @param {((visit: Visit, event: Event) => void) | null} pick called when it is selected; without it, it cannot be
 */
export function card(visit, open, pick = null) {
  const shot = make("span", { className: "shot" }, [imageOf(visit), make("span", { className: "flags" })]);
  const words = make("span", { className: "words" }, [
    make("b", { textContent: subjectOfVisit(visit) }),
    span(timesText(visit)),
    span(actsText(visit), "acts"),
  ]);
  const button = make("button", { type: "button", className: "open", onclick: () => open(visit) }, [shot, words]);
  const node = make("li", { className: "card", "data-place": visit.place }, [button]);
  if (pick) {
    const box = make("input", { type: "checkbox", tabIndex: -1, "aria-label": "Select" });
    box.onclick = (/** @type {MouseEvent} */ event) => pick(visit, event);
    node.append(make("label", { className: "pick", title: "Select (X)" }, [box]));
  }
  showMarks(node, visit, false);
  return node;
}

/** Show the marks of a visit on its card, and whether it is selected. */
export function showMarks(
  /** @type {HTMLElement} */ node,
  /** @type {Visit} */ visit,
  /** @type {boolean} */ isSelected,
) {
  const marks = /** @type {Mark[]} */ (["kept", "reviewed"]).filter((mark) => visit[mark]);
  const by = visit.reviewed && visit.by ? `reviewed by ${visit.by}` : "";
  within(node, ".flags")?.replaceChildren(...marks.map((mark) => make("span", { textContent: mark, title: by })));
  node.classList.toggle("reviewed", visit.reviewed);
  node.classList.toggle("selected", isSelected);
  const box = node.querySelector("input");
  if (box) box.checked = isSelected;
}
