// COCO's compressed run lengths: runs down the columns, the first one of zeros. Every number is written in groups
// of five bits, lowest first, as the character 48 + value, with 32 added while more groups follow; from the fourth
// number on the difference to the number two places before it stands instead.

/** @param {string} text @returns {number[]} */
function decodeRuns(text) {
  /** @type {number[]} */
  const runs = [];
  let at = 0;
  while (at < text.length) {
    let [value, shift] = [0, 0];
    let group;
    do {
      group = text.charCodeAt(at++) - 48;
      value |= (group & 31) << shift;
      shift += 5;
    } while (group & 32);
    if (group & 16 && shift < 32) value |= -1 << shift;
    runs.push(runs.length > 2 ? value + runs[runs.length - 2] : value);
  }
  return runs;
}

/**
 * The pixels of a mask, column by column: x, and y from and to.
 * @param {string} text @param {number} height @returns {number[][]}
 */
function spans(text, height) {
  /** @type {number[][]} */
  const found = [];
  let position = 0;
  decodeRuns(text).forEach((run, i) => {
    const end = position + run;
    while (i % 2 && position < end) {
      const x = Math.floor(position / height);
      const stop = Math.min(end, (x + 1) * height);
      found.push([x, position - x * height, stop - x * height]);
      position = stop;
    }
    position = end;
  });
  return found;
}

/**
 * A mask within the box around it, row by row; one pixel where it is empty.
 * @param {string} text @param {number} height
 */
export function maskBox(text, height) {
  const columns = spans(text, height);
  if (!columns.length) return { inside: new Uint8Array(1), x: 0, y: 0, width: 1, height: 1 };
  const [left, right] = [columns[0][0], columns[columns.length - 1][0]];
  const [top, bottom] = columns.reduce(
    ([low, high], [, from, to]) => [Math.min(low, from), Math.max(high, to)],
    [height, 0],
  );
  const width = right - left + 1;
  const inside = new Uint8Array(width * (bottom - top));
  for (const [x, from, to] of columns) for (let y = from; y < to; y++) inside[(y - top) * width + x - left] = 1;
  return { inside, x: left, y: top, width, height: bottom - top };
}

/**
 * What a mask has and another one has not, within the box of the first.
 * @param {ReturnType<typeof maskBox>} mask @param {ReturnType<typeof maskBox>} other
 */
export function without(mask, other) {
  const inside = mask.inside.slice();
  const [right, bottom] = [other.x + other.width, other.y + other.height];
  for (let y = Math.max(mask.y, other.y); y < Math.min(mask.y + mask.height, bottom); y++) {
    for (let x = Math.max(mask.x, other.x); x < Math.min(mask.x + mask.width, right); x++) {
      if (other.inside[(y - other.y) * other.width + x - other.x]) inside[(y - mask.y) * mask.width + x - mask.x] = 0;
    }
  }
  return { ...mask, inside };
}
