// The wall: a tile for each camera, as large as there is room.

import { cameras, IMAGE } from "./cameras.js";
import { element, make } from "./dom.js";
import { paint } from "./picture.js";
import { aboutText, word } from "./words.js";

const LEAST_TILE = 200; // pixels of the width of a tile; further ones are reached by scrolling
/**
 * @typedef {{node: HTMLButtonElement, canvas: HTMLCanvasElement, status: HTMLElement, about: HTMLElement}} Tile
 * @type {Map<string, Tile>}
 */
const tiles = new Map();

/** Columns of the wall that make its tiles largest. */
function layOut() {
  const { clientWidth, clientHeight } = element("wall");
  const count = tiles.size;
  const ratios = Object.values(cameras.states)
    .flatMap((state) => (state.size ? [state.size[1] / state.size[0]] : []))
    .sort((a, b) => a - b);
  const ratio = ratios[ratios.length >> 1] ?? 16 / 9;
  let best = { width: 0, columns: 1 };
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const width = Math.min(clientWidth / columns, (clientHeight / rows) * ratio);
    if (width > best.width) best = { width, columns };
  }
  const columns = best.width < LEAST_TILE ? Math.max(1, Math.floor(clientWidth / LEAST_TILE)) : best.columns;
  const rows = Math.ceil(count / columns);
  const height = Math.max((clientHeight - 2 - 2 * rows) / rows, Math.min(LEAST_TILE, clientWidth / columns) / ratio);
  element("wall").style.setProperty("--columns", String(columns));
  element("wall").style.setProperty("--tile-height", `${Math.floor(height)}px`);
}

function showTiles() {
  for (const [name, state] of Object.entries(cameras.states)) {
    let tile = tiles.get(name);
    if (!tile) {
      const parts = {
        canvas: make("canvas"),
        status: make("span", { className: "status" }),
        about: make("span", { className: "tile-about" }),
      };
      const node = make(
        "button",
        {
          className: "tile",
          onclick: () => {
            location.hash = `#camera/${name}`;
          },
        },
        [parts.canvas, make("span", { className: "tile-name", textContent: name }), parts.status, parts.about],
      );
      tile = { ...parts, node };
      tiles.set(name, tile);
      element("wall").append(node);
    }
    tile.node.className = `tile ${state.status}`;
    tile.node.setAttribute("aria-label", `${name}: ${word(state)}`);
    tile.status.className = `status ${state.status}`;
    tile.status.textContent = word(state);
    tile.about.textContent = aboutText(state);
  }
  for (const [name, tile] of tiles)
    if (!cameras.states[name]) {
      tile.node.remove();
      tiles.delete(name);
    }
}

cameras.listen(() => {
  showTiles();
  if (cameras.view === "wall") layOut();
});
cameras.listen(() => {
  if (cameras.view === "wall") for (const [name, tile] of tiles) paint(tile.canvas, name);
}, IMAGE);
