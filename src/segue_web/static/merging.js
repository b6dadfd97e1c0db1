// What two people changed in the label schema at once, as one schema; no part of the page is touched.

/**
 * @typedef {import("./state.js").LabelSchema} LabelSchema
 * @typedef {{name: string, attributes?: Item[]} & Record<string, any>} Item
 */

const isSame = (/** @type {unknown} */ one, /** @type {unknown} */ other) =>
  JSON.stringify(one) === JSON.stringify(other);

/**
 * Merge what I changed of a schema into what it is now. Where both changed one value, mine stays; what one of us
 * removed and the other did not change is gone.
 * @param {LabelSchema} base @param {LabelSchema} mine @param {LabelSchema} theirs @returns {LabelSchema}
 */
export function mergeSchemas(base, mine, theirs) {
  const taken = new Set();
  const classes = mergeItems(base.classes, mine.classes, theirs.classes).map((item) => {
    const isFree = !item.key || !taken.has(item.key); // both may have given one key
    taken.add(item.key);
    return isFree ? item : { ...item, key: null };
  });
  return /** @type {LabelSchema} */ ({
    classes,
    attributes: mergeItems(base.attributes, mine.attributes, theirs.attributes),
  });
}

/** @param {Item[]} base @param {Item[]} mine @param {Item[]} theirs @returns {Item[]} */
function mergeItems(base, mine, theirs) {
  const [before, own, others] = [base, mine, theirs].map((list) => new Map(list.map((item) => [item.name, item])));
  return [...new Set([...others.keys(), ...own.keys()])].flatMap((name) => {
    const [was, one, other] = [before.get(name), own.get(name), others.get(name)];
    if (one && other) return [mergeItem(was, one, other)];
    const kept = one ?? other;
    return !kept || (was && isSame(kept, was)) ? [] : [kept];
  });
}

/** @param {Item | undefined} was @param {Item} one @param {Item} other @returns {Item} */
function mergeItem(was, one, other) {
  /** @type {Item} */
  const merged = { ...other };
  for (const [key, value] of Object.entries(one)) {
    if (key === "attributes") merged.attributes = mergeItems(was?.attributes ?? [], value, other.attributes ?? []);
    else if (!isSame(value, was?.[key])) merged[key] = value;
  }
  return merged;
}
