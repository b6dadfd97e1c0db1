// COCO's compressed run lengths: runs down the columns, the first one of zeros. Every number is written in groups
// of five bits, lowest first, as the character 48 + value, with 32 added while more groups follow; from the fourth
// number on the difference to the number two places before it stands instead.

function decodeRuns(text) {
  /** @type {number[]} */
  const runs = [];
  let at = 0;
  while (at < text.length) {
    let value = 0;
    let shift = 0;
    let group = 0;
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

function encodeRuns(runs) {
  let text = "";
  runs.forEach((run, i) => {
    let value = i > 2 ? run - runs[i - 2] : run;
    for (let more = true; more; ) {
      let group = value & 31;
      value >>= 5;
      more = group & 16 ? value !== -1 : value !== 0;
      if (more) group |= 32;
      text += String.fromCharCode(group + 48);
    }
  });
  return text;
}

/** Write an object into an index mask that is stored row by row. */
export function fillLabels(labels, text, id, width, height) {
  let position = 0;
  let inside = false;
  for (const run of decodeRuns(text)) {
    if (inside) {
      let x = Math.floor(position / height);
      let y = position - x * height;
      for (let n = 0; n < run; n++) {
        labels[y * width + x] = id;
        if (++y === height) { y = 0; x++; }
      }
    }
    position += run;
    inside = !inside;
  }
}

/** A mask within the box around it, row by row; one pixel where it is empty. */
export function maskBox(text, height) {
  const runs = decodeRuns(text);
  let [left, top, right, bottom] = [Infinity, Infinity, 0, 0];
  for (let i = 0, position = 0; i < runs.length; position += runs[i++]) {
    if (i % 2 === 0 || !runs[i]) continue;
    const end = position + runs[i] - 1;
    const [first, last] = [Math.floor(position / height), Math.floor(end / height)];
    left = Math.min(left, first);
    right = Math.max(right, last);
    top = Math.min(top, first < last ? 0 : position % height);
    bottom = Math.max(bottom, first < last ? height - 1 : end % height);
  }
  if (left > right) return { labels: new Uint16Array(1), x: 0, y: 0, width: 1, height: 1 };
  const width = right - left + 1;
  const labels = new Uint16Array(width * (bottom - top + 1));
  for (let i = 0, position = 0; i < runs.length; position += runs[i++]) {
    if (i % 2 === 0) continue;
    let x = Math.floor(position / height);
    let y = position - x * height;
    for (let n = 0; n < runs[i]; n++) {
      labels[(y - top) * width + x - left] = 1;
      if (++y === height) { y = 0; x++; }
    }
  }
  return { labels, x: left, y: top, width, height: bottom - top + 1 };
}

/** Run lengths of what is opaque in a picture. */
export function runsOfAlpha(image) {
  const { width, height, data } = image;
  const runs = [0];
  let inside = false;
  let area = 0;
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) {
      const now = data[4 * (y * width + x) + 3] > 127;
      if (now !== inside) { runs.push(0); inside = now; }
      runs[runs.length - 1]++;
      if (now) area++;
    }
  }
  return { counts: encodeRuns(runs), area };
}
