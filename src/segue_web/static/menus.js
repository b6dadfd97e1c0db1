// Menus: panels that open beside their button.

import { buttons } from "./dom.js";
import { icon } from "./icons.js";

/** pixels between a menu and its button, and to the sides of the window */
const [APART, BORDER] = [4, 8];

/** Put a menu below its button, or above it where there is no room. */
function place(/** @type {HTMLElement} */ menu, /** @type {HTMLElement} */ button) {
  const [{ left, top, bottom }, { width, height }] = [button.getBoundingClientRect(), menu.getBoundingClientRect()];
  const below = bottom + APART;
  const y = below + height <= innerHeight - BORDER ? below : top - APART - height;
  menu.style.left = `${Math.max(BORDER, Math.min(left, innerWidth - BORDER - width))}px`;
  menu.style.top = `${Math.max(BORDER, Math.min(y, innerHeight - BORDER - height))}px`;
}

/** Whether a menu is open. */
export const isMenuOpen = () => document.querySelector("[popover]:popover-open") !== null;

for (const button of buttons("[popovertarget]")) {
  const menu = document.getElementById(button.getAttribute("popovertarget") ?? "");
  if (!menu) continue;
  if (button.dataset.icon) button.prepend(icon(button.dataset.icon));
  menu.addEventListener("toggle", () => {
    const isOpen = menu.matches(":popover-open");
    button.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) place(menu, button);
    if (isOpen && menu.tabIndex < 0) menu.focus();
  });
  if (!menu.classList.contains("menu")) continue;
  menu.tabIndex = -1;
  menu.addEventListener("click", ({ target }) => {
    if (target instanceof Element && target.closest("button")) menu.hidePopover();
  });
  menu.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const items = [...menu.querySelectorAll("button")].filter((item) => !item.disabled);
    const at = items.findIndex((item) => item === document.activeElement);
    items.at((at + step) % items.length)?.focus();
    event.preventDefault();
    event.stopPropagation();
  });
}
