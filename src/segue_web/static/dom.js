// Parts of the page, notices and dialogs.

import { icon } from "./icons.js";

/**
 * @typedef {import("./parts.js").Parts} Parts
 * @typedef {import("./parts.js").ButtonId} ButtonId
 */

/**
 * A part of the page by its id; it is of the kind that ``Parts`` says.
 * @template {keyof Parts} K @param {K} id @returns {Parts[K]}
 */
export const element = (id) => /** @type {Parts[K]} */ (document.getElementById(id));

/** A part that only some pages have. @param {keyof Parts} id @returns {HTMLElement | null} */
export const optional = (id) => document.getElementById(id);

/** All parts that a selector finds. @returns {HTMLElement[]} */
export const all = (/** @type {string} */ selector) => [...document.querySelectorAll(selector)].filter(isPart);

/** The first part of another one that a selector finds. @returns {HTMLElement | null} */
export const within = (/** @type {Element} */ parent, /** @type {string} */ selector) => parent.querySelector(selector);

/** All buttons that a selector finds. @returns {HTMLButtonElement[]} */
export const buttons = (/** @type {string} */ selector) =>
  all(selector).filter((node) => node instanceof HTMLButtonElement);

/** Whether a node is no part of a drawing. @param {Element} node @returns {node is HTMLElement} */
const isPart = (node) => node instanceof HTMLElement;

/** The button of a command. */
export const commandButton = (/** @type {string} */ name) => buttons(`[data-command="${name}"]`)[0];

/**
 * An element with properties, or attributes where there is a dash.
 * @template {keyof HTMLElementTagNameMap} K @param {K} tag @param {Record<string, unknown>} values
 * @param {(Node | string)[]} children @returns {HTMLElementTagNameMap[K]}
 */
export function make(tag, values = {}, children = []) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(values)) {
    if (key.includes("-")) node.setAttribute(key, String(value));
    else Object.assign(node, { [key]: value });
  }
  node.append(...children);
  return node;
}

/** A button with an icon alone. */
export const iconButton = (
  /** @type {string} */ name,
  /** @type {string} */ label,
  /** @type {() => void} */ onclick,
  values = {},
) => make("button", { className: "icon", title: label, "aria-label": label, onclick, ...values }, [icon(name)]);

/** A text in a line of a list or of a dialog; one in grey says less. */
export const span = (/** @type {string} */ textContent, className = "") => make("span", { textContent, className });

/** What an error says. @param {unknown} error */
export const messageOf = (error) => (error instanceof Error ? error.message : String(error));

/** A name that has little room. */
export const short = (/** @type {string} */ name) => (name.length > 24 ? `${name.slice(0, 23)}…` : name);

export function swatch(/** @type {string} */ colour) {
  const node = make("i", { className: "swatch" });
  node.style.background = colour;
  return node;
}

/** A box to tick, and what it says. */
export function tick(/** @type {string} */ text, values = {}) {
  const box = make("input", { type: "checkbox", ...values });
  return { box, label: make("label", {}, [box, span(text)]) };
}

/** Offer further values of a choice. */
export function offer(/** @type {import("./parts.js").SelectId} */ id, /** @type {string[]} */ values) {
  const offered = new Set([...element(id).options].map((option) => option.value));
  for (const value of new Set(values))
    if (value && !offered.has(value)) element(id).append(make("option", { value, textContent: value }));
}

/** Give a button of a header its icon, and its text, which a narrow window leaves out. */
export function headerButton(
  /** @type {ButtonId} */ id,
  /** @type {string} */ name,
  /** @type {string} */ text,
  /** @type {() => void} */ onclick,
) {
  element(id).replaceChildren(icon(name), span(text, "button-text"));
  element(id).onclick = onclick;
}

/** Say whether a button that stays down is down. */
export const press = (/** @type {ButtonId} */ id, /** @type {boolean} */ isDown) =>
  element(id).setAttribute("aria-pressed", String(isDown));

/** Whether a key belongs to a field or to a command of the browser, and not to the page. */
export const isForeign = (/** @type {KeyboardEvent} */ event) =>
  event.ctrlKey || event.metaKey || event.altKey || isTyping();

/** Whether a field has the focus; a box that is ticked is none. */
export const isTyping = () => document.activeElement?.matches("input:not([type=checkbox]), select, textarea") ?? false;

/** callbacks that rebuild lists after a press @type {Map<HTMLElement, () => void>} */
const postponed = new Map();

/** what ends a press; a part that was dragged counts as pressed until the pointer is moved */
const RELEASES = ["pointerup", "pointercancel", "dragend", "pointermove", "keyup"];

function updatePostponed() {
  for (const name of RELEASES) removeEventListener(name, updatePostponed);
  // The click comes after these events.
  setTimeout(() => [...postponed].forEach(([list, update]) => renew(list, update)));
}

/**
 * Make the parts of a list anew, and where one of them is pressed after that: a press on a part that is replaced is
 * lost.
 * @param {HTMLElement} list @param {() => void} update
 */
export function renew(list, update) {
  if (list.matches(":active")) {
    postponed.set(list, update);
    for (const name of RELEASES) addEventListener(name, updatePostponed);
    return;
  }
  postponed.delete(list);
  update();
}

/** Rebuild a list if its content has changed; the focus stays at its ``data-focus``. */
export function fill(
  /** @type {HTMLElement} */ list,
  /** @type {unknown} */ shown,
  /** @type {() => (Node | string)[]} */ parts,
) {
  const text = JSON.stringify(shown);
  if (list.dataset.shown === text) {
    postponed.delete(list);
    return;
  }
  renew(list, () => {
    const focused = within(list, ":focus")?.dataset.focus;
    list.dataset.shown = text;
    list.replaceChildren(...parts());
    if (focused) within(list, `[data-focus="${CSS.escape(focused)}"]`)?.focus();
  });
}

/** Whether the panels are a drawer, as in app.css: in narrow windows that are wider than high. */
export const isNarrow = () => matchMedia("(max-width: 1180px) and (min-aspect-ratio: 9/10)").matches;

/**
 * Put notices where they are seen: in a dialog that is open, which covers everything else, or beside the image: in
 * the panels at the side, or where these are away below the image.
 */
export function placeNotices() {
  const [box, side, open] = [element("notices"), optional("side"), element("dialog").open];
  const isAway = isNarrow() ? !side?.classList.contains("open") : document.body.classList.contains("side-folded");
  if (!open && side && !isAway) {
    if (box.parentElement !== side) within(side, ".detail")?.before(box);
  } else {
    const home = element(open ? "dialog" : "view");
    if (box.parentElement !== home) home.append(box);
  }
}

/** A text that begins as a sentence does; a name that it begins with stays as it is. */
export const sentence = (/** @type {string} */ text) =>
  /^[a-z]+[ ,]/.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text;

/** One line for the person, which goes by itself, or when what it offers is done. @returns {any} */
export function notice(/** @type {string} */ text, kind = "", /** @type {Node[]} */ more = []) {
  const box = element("notices");
  placeNotices();
  const isBrief = kind === "" && !more.length; // of what was done last: one is enough
  for (const old of [...box.children])
    if (old.firstElementChild?.textContent === sentence(text) || (isBrief && old.className === "notice brief"))
      old.remove();
  const node = make("div", { className: `notice ${isBrief ? "brief" : kind}` }, [
    span(sentence(text)),
    ...more,
    iconButton("close", "Close", () => node.remove()),
  ]);
  for (const one of more) one.addEventListener("click", () => node.remove()); // what it offers is done
  box.append(node);
  while (box.children.length > 3) box.firstElementChild?.remove();
  const seconds = more.length ? 30 : 5;
  setTimeout(() => node.remove(), 1000 * (kind === "bad" ? 15 : seconds));
  return node;
}

/** Say what went wrong. @param {unknown} problem */
export const tell = (problem) => notice(typeof problem === "string" ? problem : messageOf(problem), "bad");

/** Ask a question; the answer is the name of a choice, or null without an answer. @returns {Promise<string | null>} */
export function question(/** @type {string} */ text, /** @type {Record<string, string>} */ choices) {
  return new Promise((resolve) => {
    const offered = Object.entries(choices).map(([name, textContent], i) =>
      make("button", { textContent, className: i ? "" : "primary", onclick: () => answer(name) }),
    );
    const box = make("dialog", { className: "question", "aria-label": text }, [
      make("div", { className: "dialog-body" }, [
        make("p", { textContent: text }),
        make("div", { className: "row" }, offered),
      ]),
    ]);
    const answer = (/** @type {string | null} */ name) => {
      box.remove();
      resolve(name);
    };
    box.onkeydown = (/** @type {Event} */ event) => {
      event.stopPropagation();
    }; // keys are of no command
    box.oncancel = (/** @type {Event} */ event) => {
      event.preventDefault();
      answer(null);
    };
    document.body.append(box);
    box.showModal();
    offered[0].focus();
  });
}

/** whether something was typed into the dialog that closing would discard */
let isTyped = false;

/** Say whether something was typed into the dialog that closing would discard. */
export function noteTyped(/** @type {boolean} */ typed) {
  isTyped = typed;
}

/** Open the dialog with a title and a body; what is in the foot is always seen. */
export function dialog(
  /** @type {string} */ title,
  /** @type {(Node | string)[]} */ body,
  /** @type {(Node | string)[]} */ foot = [],
) {
  const box = element("dialog");
  element("view").append(element("notices"));
  box.onclose = placeNotices;
  box.onkeydown = null;
  isTyped = false;
  box.oninput = ({ target }) => {
    isTyped ||= target instanceof Element && target.matches("input:not([type]), input[type=text]");
  };
  const leave = async () => {
    if (
      !isTyped ||
      (await question("Discard what you typed?", { stay: "Keep editing", discard: "Discard" })) === "discard"
    )
      box.close();
  };
  box.oncancel = (/** @type {Event} */ event) => {
    if (isTyped) {
      event.preventDefault();
      void leave();
    }
  };
  box.className = "";
  box.replaceChildren(
    make("div", { className: "dialog-head" }, [
      make("h2", { id: "dialog-title", textContent: title }),
      iconButton("close", "Close", () => void leave()),
    ]),
    make("div", { className: "dialog-body" }, body),
    ...(foot.length ? [make("div", { className: "dialog-foot" }, foot)] : []),
  );
  box.showModal();
  placeNotices();
  return box;
}

/** Minutes, seconds and hundredths, after the hours if there are any. */
export function clock(/** @type {number} */ seconds) {
  const hundredths = Math.floor(Math.abs(seconds) * 100 + 1e-6);
  const two = (/** @type {number} */ number) => String(number).padStart(2, "0");
  const hours = Math.floor(hundredths / 360000);
  const rest = `${two(Math.floor(hundredths / 6000) % 60)}:${two(Math.floor(hundredths / 100) % 60)}.${two(hundredths % 100)}`;
  return hours ? `${hours}:${rest}` : rest;
}

/** Have the button of the theme, on pages that have one, change the colours. */
export function letThemeChange() {
  const { dataset } = document.documentElement;
  element("theme").append(icon("theme"));
  element("theme").onclick = () => {
    dataset.theme = otherTheme(dataset.theme);
  };
}

/** Take the other of the dark and the light colours. */
export function otherTheme(/** @type {string | undefined} */ theme) {
  const light = theme === "light" || (theme === "auto" && matchMedia("(prefers-color-scheme: light)").matches);
  return light ? "dark" : "light";
}
