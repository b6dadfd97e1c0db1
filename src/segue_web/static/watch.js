// The page of cameras: which of its views is shown, and its keys.

import { drawn } from "./camera.js";
import { cameras } from "./cameras.js";
import { element, letThemeChange } from "./dom.js";
import "./health.js";
import { beginHistory, loadCounts, loadEvents, showLast } from "./history.js";
import { icon } from "./icons.js";
import { follow, goOn, tryLook } from "./look.js";
import "./wall.js";

function navigate() {
  const [name, camera] = location.hash.slice(1).split("/").map(decodeURIComponent);
  const view = ["camera", "events", "counts", "health"].includes(name) ? name : "wall";
  const chosen = camera ?? "";
  if (view === "camera" && cameras.chosen !== chosen) drawn.end();
  Object.assign(cameras, { view, chosen });
  for (const id of /** @type {const} */ (["wall", "camera", "events", "counts", "health"]))
    element(id).hidden = id !== view;
  for (const link of document.querySelectorAll(".views a")) {
    if (link.getAttribute("href") === `#${view === "camera" ? "wall" : view}`)
      link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (view === "events") {
    element("by-camera").value = chosen;
    void loadEvents();
  }
  if (view === "counts") void loadCounts();
  if (view === "camera") {
    element("camera-last").replaceChildren();
    void showLast(chosen, element("camera-last"));
    void follow();
  }
  cameras.changed();
}

element("zones").append(icon("polygon"), "Zones");
element("zones").onclick = () => cameras.toggleZones();
letThemeChange();
addEventListener("keydown", (event) => {
  if (
    event.ctrlKey ||
    event.metaKey ||
    event.altKey ||
    element("dialog").open ||
    /INPUT|SELECT/.test(document.activeElement?.tagName ?? "")
  )
    return;
  if (event.key === "z") element("zones").click();
  else if (event.key === "Escape" && drawn.active) drawn.end();
  else if (event.key === "Escape" && cameras.view === "camera") location.hash = "#wall";
  else if (event.key === "Backspace" && drawn.active) element("zone-back").click();
  else return;
  event.preventDefault();
});
addEventListener("hashchange", navigate);
new ResizeObserver(() => cameras.changed()).observe(element("view"));
await tryLook();
beginHistory(Object.keys(cameras.states));
navigate();
goOn();
