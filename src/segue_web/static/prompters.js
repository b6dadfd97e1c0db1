// The network that answers clicks: the choice of one, and the download of one that is not there.

import { dialog, element, fill, make, messageOf, notice } from "./dom.js";
import { ask, complain, request } from "./link.js";
import { state } from "./state.js";

/**
 * @typedef {typeof import("./state.js").state.prompters} Prompters
 * @typedef {NonNullable<Prompters["offer"]>} Offer
 * @typedef {NonNullable<Prompters["progress"]>} Progress
 */

const megabytes = (/** @type {number} */ bytes) => Math.round(bytes / 1e6);

/** why the last download failed */
let failure = "";

/** Choose the network that answers clicks and boxes. */
export function prompterDialog() {
  const body = make("div", { className: "prompters" });
  const box = dialog("Network that answers clicks and boxes", [body]);
  const show = () => {
    if (!body.isConnected || !box.open) {
      state.ignore(show);
      return;
    }
    fill(body, [state.prompters, Boolean(state.loading), failure], parts);
  };
  state.listen(show);
  show();
}

function parts() {
  const { used, choices, offer, progress } = state.prompters;
  const select = make(
    "select",
    {
      disabled: state.loading,
      onchange: async () => {
        await use(select.value);
        select.value = state.prompters.used;
      },
    },
    choices.map((name) => make("option", { value: name, textContent: name })),
  );
  select.value = used;
  return [
    make("div", { className: "row" }, [make("label", { className: "grow" }, ["Clicks are answered by", select])]),
    make("p", {
      className: "quiet",
      textContent: state.loading
        ? "The network is being loaded …"
        : `Used until segue ends. To start with it: segue annotate … --prompter ${used}`,
    }),
    ...(offer
      ? [
          make("p", { textContent: `${offer.title} is not on this machine. Licence: ${offer.licence}` }),
          progress ? meter(offer, progress) : button(offer),
        ]
      : []),
    ...(failure && !progress ? [make("p", { className: "failure", role: "alert", textContent: failure })] : []),
  ];
}

function button(/** @type {Offer} */ { title, size, name }) {
  const text = `Download ${title}${size ? ` (${megabytes(size)} MB)` : ""}`;
  return make("button", { className: "primary", textContent: text, onclick: () => void download(name, title) });
}

function meter(/** @type {Offer} */ { title }, /** @type {Progress} */ { done, total }) {
  const bar = make("progress", {
    "aria-label": `Download of ${title}`,
    ...(total && done ? { max: total, value: done } : {}),
  });
  const text =
    total && done >= total
      ? "checking and converting …"
      : `${megabytes(done)}${total ? ` of ${megabytes(total)}` : ""} MB`;
  const cancel = make("button", { textContent: "Cancel", onclick: () => void ask("cancel_download") });
  return make("div", {}, [
    make("p", { className: "quiet", textContent: `Downloading ${title}: ${text}` }),
    make("div", { className: "row" }, [bar, cancel]),
  ]);
}

async function use(/** @type {string} */ prompter) {
  if (await ask("use_prompter", { name: prompter })) notice(`${prompter} now answers clicks.`, "good");
  else state.changed();
}

async function download(/** @type {string} */ name, /** @type {string} */ title) {
  failure = "";
  try {
    const answer = await request("download_prompter");
    if (answer.there === false) {
      notice(`The download of ${title} was cancelled; the next download resumes it.`);
      return;
    }
  } catch (error) {
    failure = messageOf(error);
    state.changed();
    if (!element("dialog").querySelector(".prompters") || !element("dialog").open) complain(error);
    return;
  }
  const more = make("button", { textContent: "Use it", onclick: () => void use(name) });
  notice(`${title} is ready.`, "good", [more]);
}
