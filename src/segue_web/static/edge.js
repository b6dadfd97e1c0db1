// The soft edge of the selected object: offset, width and blur.

import { element } from "./dom.js";
import { changeObjects, seenNow } from "./edits.js";
import { state } from "./state.js";

/** @typedef {import("./state.js").Edge} Edge */

/** @type {Edge} */
const NONE = { grow: 0, width: 0, feather: 0, detail: false };
const LENGTHS = /** @type {const} */ (["grow", "width", "feather"]);
/** usual width of an edge that is estimated from the image, as a share of the shorter side, and at least */
const [BAND, MIN_BAND] = [0.024, 4];

/** the object and the revision that a person saw who began to type @type {{id: number, seen: number | null} | null} */
let begun = null;

const edgeOf = () => ({ ...NONE, ...state.chosenObject?.edge });

function give(/** @type {Partial<Edge>} */ values) {
  const id = begun?.id ?? state.object;
  const item = state.objects.find((one) => one.id === id);
  if (!item) return;
  const edge = { ...NONE, ...item.edge, ...values };
  if (values.detail && !edge.width)
    edge.width = Math.max(MIN_BAND, Math.round(BAND * Math.min(state.video.width, state.video.height)));
  changeObjects([item.id], { edge }, begun?.seen ?? null);
  begun = null;
}

for (const name of LENGTHS) {
  const field = element(`edge-${name}`);
  field.onfocus = () => {
    begun = state.object === null ? null : { id: state.object, seen: seenNow() };
  };
  field.onblur = () => {
    begun = null;
  };
  field.onchange = () => {
    const value = Math.min(Number(field.max), Math.max(Number(field.min), Number(field.value) || 0));
    give({ [name]: value });
  };
  field.onkeydown = ({ key }) => {
    if (key === "Enter" || key === "Escape") field.blur();
  };
}
element("edge-detail").onchange = () => give({ detail: element("edge-detail").checked });

/** Show the edge of the selected object. */
export function showEdge() {
  const edge = edgeOf();
  const disabled = Boolean(state.chosenObject?.locked);
  for (const name of LENGTHS) {
    const field = element(`edge-${name}`);
    field.disabled = disabled;
    if (document.activeElement !== field) field.value = String(edge[name]);
  }
  element("edge-detail").checked = edge.detail;
  element("edge-detail").disabled = disabled;
  const parts = LENGTHS.filter((name) => edge[name]).map((name) => `${name} ${edge[name]}`);
  element("edge-text").textContent = [...parts, ...(edge.detail ? ["hair"] : [])].join(", ");
}
