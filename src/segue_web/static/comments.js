// The dialog of people: your name, comments, contributions and the newest changes.

import { commandButton, dialog, element, make, noteTyped, notice, renew, span, tick } from "./dom.js";
import { keepDrafts } from "./drafts.js";
import { comment, resolve } from "./edits.js";
import { ask, giveName } from "./link.js";
import { changeText, contribution, openHere, ordered, placeOf, unread, whenText, whose } from "./people.js";
import { go } from "./playback.js";
import { state } from "./state.js";
import { view } from "./view.js";

/**
 * @typedef {import("./people.js").Person} Person
 * @typedef {import("./people.js").Remark} Remark
 * @typedef {import("./people.js").Change} Change
 */

/** where the browser keeps which comments of a project it has shown: the last one */
const READ = "segue-read";

/** the comment in the dialog: its field, and the frame and the place that it may be on
 * @type {{field: HTMLInputElement, place: HTMLSelectElement, frame: number, at: number[] | null} | null}
 */
let written = null;

/** Comment on the place of the image under the pointer, or where the cross is. */
export function commentAtPlace() {
  const at = state.cursor ?? view.pointer;
  if (at) void peopleDialog("", [Math.round(at.x), Math.round(at.y)]);
  else notice("First move the pointer or crosshair to a place in the image.");
}

/** Show people and comments, with a comment that was begun, or one on a place of the image to be written. */
export async function peopleDialog(begun = "", at = /** @type {number[] | null} */ (null), subject = "") {
  const { frame, chosenObject: item } = state;
  const answer = await ask("people");
  if (!answer) return;
  const name = make("input", {
    type: "search",
    value: state.user,
    maxLength: 80,
    placeholder: "Stored with every change",
    autocomplete: "off",
  });
  name.onchange = () => giveName(name.value.trim());
  name.onkeydown = commits;
  const places = [
    ...(at ? [["place", `frame ${frame}, at ${at.join(", ")}`]] : []),
    ...(item ? [["here", `${item.name}, frame ${frame}`]] : []),
    ...(item ? [["object", item.name]] : []),
    ["frame", `frame ${frame}`],
  ];
  const place = make(
    "select",
    { "aria-label": "Subject of the comment" },
    places.map(([value, textContent]) => make("option", { value, textContent })),
  );
  const text = make("input", { className: "grow", maxLength: 1000, placeholder: "Comment", "aria-label": "Comment" });
  text.value = begun;
  if (subject) place.value = subject;
  written = { field: text, place, frame, at };
  const give = async () => {
    if (!text.value.trim() || text.readOnly) return; // one that is being saved is not given twice
    const isOn = (/** @type {string} */ part) => place.value === "here" || place.value === part;
    const object = item && isOn("object") ? item.id : null;
    const isAt = place.value === "place";
    text.readOnly = true;
    const made = await comment(text.value.trim(), object, isOn("frame") || isAt ? frame : null, isAt ? at : null);
    text.readOnly = false;
    if (!made) return;
    text.value = "";
    noteTyped(false);
  };
  text.onkeydown = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Enter") void give();
  };
  const list = make("ul", { className: "comments" });
  const show = () => {
    if (!list.closest("dialog")?.open) {
      state.ignore(show);
      return;
    }
    const shown = JSON.stringify([state.comments, state.objects.map((one) => one.name)]);
    if (list.dataset.shown === shown) return;
    const isNews = list.dataset.shown !== undefined;
    list.dataset.shown = shown;
    if (isNews) void ask("people").then((now) => now && done.replaceChildren(...doneBy(now)));
    const remarks = ordered(state.comments, item?.id ?? null, frame);
    noteRead();
    const none = make("li", { className: "quiet", textContent: "There are no comments yet." });
    renew(list, () => list.replaceChildren(...(remarks.length ? remarks.map((remark) => row(remark, box)) : [none])));
  };
  const done = make("div", { className: "done" }, doneBy(answer));
  const box = dialog("People and comments", [
    make("label", {}, ["Your name", name]),
    make("h3", { textContent: "Comments" }),
    make("div", { className: "row" }, [text, place, make("button", { textContent: "Comment", onclick: give })]),
    list,
    done,
  ]);
  box.classList.add("people");
  noteTyped(Boolean(begun));
  state.listen(show);
  show();
  (state.user ? text : name).focus();
}

/** Contributions and the newest changes. @param {{people: Person[], changes: Change[]}} answer */
function doneBy({ people, changes }) {
  const part = (/** @type {string} */ title, /** @type {[string, string][]} */ rows) =>
    rows.length
      ? [
          make("h3", { textContent: title }),
          make(
            "ul",
            {},
            rows.map(([what, who]) =>
              make("li", { className: "row", title: what }, [span(what, "cut grow"), span(who, "quiet")]),
            ),
          ),
        ]
      : [];
  return [
    ...part(
      "Contributions",
      people.map((person) => [person.user, contribution(person)]),
    ),
    ...part(
      "Newest changes",
      changes.map((change) => [
        changeText(change),
        [change.user || "no name", whenText(change.time, new Date())].filter(Boolean).join(", "),
      ]),
    ),
  ];
}

/** A key that ends a field, which keeps what was typed. @param {KeyboardEvent & {target: any}} event */
export function commits(event) {
  if (event.key === "Enter" || event.key === "Escape") event.target.blur();
}

function row(/** @type {Remark} */ remark, /** @type {HTMLDialogElement} */ box) {
  const { id, object, frame, text, user, resolved } = remark;
  const shows = () => {
    box.close();
    if (object !== null) state.choose(object);
    if (frame !== null) go(frame);
  };
  const { box: done, label } = tick("Resolved", { checked: Boolean(resolved) });
  done.onchange = () => void resolve(id, done.checked);
  if (resolved && resolved !== "?") label.title = `by ${whose(resolved, state.user, state.guest)}`;
  const where = make("button", { className: "pick", title: "Go there", onclick: shows }, [
    span(placeOf(remark, state.objects), "cut"),
  ]);
  const about = make("div", { className: "row" }, [where, span(user, "quiet cut grow"), label]);
  return make("li", { className: resolved ? "resolved" : "" }, [about, make("p", { textContent: text })]);
}

/** The comments that this browser has shown, by project: the last one. @returns {Record<string, number>} */
const lastRead = () => JSON.parse(localStorage.getItem(READ) ?? "{}");

function noteRead() {
  const last = Math.max(0, ...state.comments.map(({ id }) => id));
  const read = lastRead();
  if (read[state.folder] === last) return;
  localStorage.setItem(READ, JSON.stringify({ ...read, [state.folder]: last }));
  state.changed();
}

/** Show the number of new comments by other people, and of open comments on the selection. */
export function showRemarks() {
  const news = unread(state.comments, lastRead()[state.folder] ?? 0, state.user, state.guest).length;
  element("news").hidden = !news;
  element("news").textContent = String(news);
  element("legend-remark").hidden = !state.comments.some(({ resolved }) => !resolved);
  const more = news ? `: ${news} new` : "";
  commandButton("people").setAttribute("aria-label", `People and comments${more}`);
  element("project").setAttribute("aria-label", news ? `Project; people and comments${more}` : "Project");
  const count = openHere(state.comments, state.object, state.frame).length;
  const button = element("remarks");
  button.hidden = !count;
  button.textContent = count === 1 ? "1 open comment here" : `${count} open comments here`;
}

element("remarks").onclick = () => void peopleDialog();
keepDrafts(
  "comment",
  () => {
    const text = written?.field.closest("dialog")?.open && written.field.value.trim();
    return written && text ? { text, frame: written.frame, at: written.at, subject: written.place.value } : null;
  },
  (/** @type {{text: string, frame: number, at: number[] | null, subject: string}} */ { text, frame, at, subject }) => {
    go(frame);
    void peopleDialog(text, at, subject);
  },
);
