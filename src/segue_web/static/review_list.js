// Visits that are reviewed: which are shown, which are selected, and their marks.

import { get, send } from "./http.js";
import { Store } from "./store.js";
import { numberOf, numbersByCamera } from "./visits.js";

/**
 * @typedef {import("./visits.js").Visit} Visit
 * @typedef {import("./visits.js").Mark} Mark
 * @typedef {{visits: Visit[], next: string | null, problems: string[],
 *   choices: {zones?: string[], labels?: string[]}}} Answer what the filters may be is in the first answer
 */

/** visits that are asked for at once */
const PAGE = 60;
/** visits whose marks are sent at once */
const AT_ONCE = 300;

/** the part of a change that concerns marks and the selection alone */
export const MARKS = "marks";

class ReviewList extends Store {
  /** newest first @type {Visit[]} */
  visits = [];
  /** places of those that are selected @type {Set<string>} */
  selected = new Set();
  /** where earlier ones begin @type {string | null} */
  following = null;
  /** the question whose visits are shown */
  answered = "";
  /** the question that is asked now */
  asked = new URLSearchParams();
  /** what could not be read @type {string[]} */
  problems = [];
  /** what the filters may be @type {Answer["choices"]} */
  choices = {};
  /** marks that were set here */
  numMarks = 0;
  /** of these, those that are not saved yet */
  numSaving = 0;
  /** @type {Promise<unknown>} */
  saving = Promise.resolve();

  get isCurrent() {
    return this.answered === String(this.asked);
  }

  /**
   * Ask anew for the newest visits of a question; tells whether they are shown, which they are not where nobody wants
   * them any more when they come.
   */
  async load(asked = this.asked, isWanted = () => true) {
    this.asked = asked;
    const text = String(asked);
    this.changed();
    let before, answer;
    do {
      before = this.numMarks;
      answer = await ask(asked);
      if (text !== String(this.asked) || !isWanted()) return false;
    } while (before !== this.numMarks);
    this.answered = text;
    this.visits = [];
    this.take(answer);
    const places = new Set(this.visits.map(({ place }) => place));
    this.selected = new Set([...this.selected].filter((place) => places.has(place)));
    return true;
  }

  /** Ask for earlier ones. */
  async loadEarlier() {
    const { visits } = this;
    const answer = await ask(this.asked, String(this.following));
    if (visits === this.visits) this.take(answer);
  }

  /** @param {Answer} answer */
  take({ visits, next, problems, choices }) {
    this.visits = [...this.visits, ...visits];
    [this.following, this.problems] = [next, problems];
    if (choices.zones) this.choices = choices;
    this.changed();
  }

  toggle(/** @type {string} */ place) {
    if (!this.selected.delete(place)) this.selected.add(place);
    this.changed(MARKS);
  }

  select(/** @type {Iterable<string>} */ places) {
    this.selected = new Set(places);
    this.changed(MARKS);
  }

  /** those that are selected @returns {Visit[]} */
  get chosen() {
    return this.visits.filter(({ place }) => this.selected.has(place));
  }

  /**
   * Set one mark of visits, one change after the other; those of others stay. What a camera refuses does not keep
   * the marks of others from being saved and shown; the error says how many visits were not marked, and why.
   * @param {Visit[]} visits @param {Mark} mark @param {boolean} value
   */
  mark(visits, mark, value) {
    this.numSaving += 1;
    const turn = this.saving.then(async () => {
      /** @type {Map<string, Record<Mark, boolean> & {by: string}>} */
      const marks = new Map();
      /** why some were refused @type {Set<string>} */
      const reasons = new Set();
      let refused = 0;
      for (const [camera, numbers] of numbersByCamera(visits))
        for (let from = 0; from < numbers.length; from += AT_ONCE) {
          const some = numbers.slice(from, from + AT_ONCE);
          const answer = await setMarks(camera, { visits: some, mark, value }).catch((/** @type {Error} */ why) => why);
          if (answer instanceof Error) {
            reasons.add(answer.message);
            refused += some.length;
          } else for (const [number, now] of Object.entries(answer)) marks.set(`${camera}/${number}`, now);
        }
      // The list may have been loaded again meanwhile.
      for (const visit of new Set([...visits, ...this.visits]))
        Object.assign(visit, marks.get(`${visit.camera}/${numberOf(visit)}`));
      if (!reasons.size) return;
      const text = [...reasons].join("; ");
      throw new Error(
        refused < visits.length ? `${refused} of ${visits.length} visits were not marked: ${text}` : text,
      );
    });
    this.saving = turn
      .catch(() => undefined)
      .then(() => {
        this.numMarks += 1;
        this.numSaving -= 1;
        this.changed(MARKS);
      });
    return turn;
  }
}

/**
 * Set one mark of visits of a camera; gives their marks now by number. A refusal is an error with its reason.
 * @param {string} camera @param {{visits: number[], mark: Mark, value: boolean}} change
 * @returns {Promise<Record<string, Record<Mark, boolean> & {by: string}>>}
 */
async function setMarks(camera, change) {
  const response = await send(`marks/${camera}`, change);
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

/**
 * Ask for visits; where those that were looked at have none that is wanted, go on with earlier ones.
 * @returns {Promise<Answer>}
 */
async function ask(/** @type {URLSearchParams} */ question, cursor = "") {
  const text = new URLSearchParams(question);
  text.set("limit", String(PAGE));
  if (cursor) text.set("cursor", cursor);
  const answer = await get(`visits?${text}`);
  if (answer.visits.length || answer.next === null) return answer;
  return { ...(await ask(question, answer.next)), choices: answer.choices };
}

/** The visit at a place, such as a link has it; nothing where there is none. @returns {Promise<Visit | undefined>} */
export async function visitAt(/** @type {string} */ place) {
  const { visits } = await get(`visits?${new URLSearchParams({ place })}`);
  return visits[0];
}

/** The last visits of a camera. @returns {Promise<Visit[]>} */
export const lastVisits = async (/** @type {string} */ camera) =>
  (await get(`visits?${new URLSearchParams({ camera, limit: "12" })}`)).visits;

/** those of the view of events */
export const reviewed = new ReviewList();
