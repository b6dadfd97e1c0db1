// Line icons, 24 units wide.
/** @type {Record<string, string>} */
const PATHS = {
  click: "M8 3v3M3 8h3M5 5l2 2M10 10l4 10 2-4 4-2z",
  minus: "M8 3v3M3 8h3M5 5l2 2M10 10l4 10 2-4 4-2zM15 5h6",
  box: "M4 8V4h4M16 4h4v4M20 16v4h-4M8 20H4v-4",
  brush: "M14 4l6 6-8 8H8v-4zM4 20c0-2 2-3 4-2",
  eraser: "M4 15l9-10 7 6-8 9H8zM9 10l7 6M12 20h8",
  polygon: "M12 3l8 6-3 11H7L4 9z",
  group: "M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z",
  hand: "M8 12V6a1.5 1.5 0 013 0v5V4.5a1.5 1.5 0 013 0V11V6a1.5 1.5 0 013 0v9a6 6 0 01-6 6c-3 0-4-2-6-6-1-2 1-3 3-1z",
  undo: "M8 5L3 10l5 5M3 10h11a6 6 0 010 12h-3",
  redo: "M16 5l5 5-5 5M21 10H10a6 6 0 000 12h3",
  forward: "M5 5l9 7-9 7zM18 5v14",
  back: "M19 5l-9 7 9 7zM6 5v14",
  between: "M3 6l6 6-6 6M21 6l-6 6 6 6M12 4v16",
  stop: "M6 6h12v12H6z",
  play: "M7 4l13 8-13 8z",
  pause: "M8 5v14M16 5v14",
  next: "M9 5l7 7-7 7", previous: "M15 5l-7 7 7 7",
  first: "M18 5l-8 7 8 7M6 5v14", last: "M6 5l8 7-8 7M18 5v14",
  given: "M4 12l6-6v12zM17 8l4 4-4 4-4-4z", nextGiven: "M20 12l-6-6v12zM7 8l4 4-4 4-4-4z",
  eye: "M2 12s4-7 10-7 10 7 10 7-4 7-10 7S2 12 2 12zM12 9a3 3 0 100 6 3 3 0 000-6z",
  closed: "M3 3l18 18M10 6c6-2 12 6 12 6l-3 3M6 8c-2 2-4 4-4 4s4 7 10 7c1 0 3 0 4-1",
  lock: "M6 11h12v9H6zM8 11V8a4 4 0 018 0v3",
  open: "M6 11h12v9H6zM8 11V8a4 4 0 017-2",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13",
  plus: "M12 5v14M5 12h14",
  close: "M6 6l12 12M18 6L6 18",
  find: "M11 4a7 7 0 100 14 7 7 0 000-14zM16 16l5 5",
  export: "M12 15V3M8 7l4-4 4 4M4 15v5h16v-5",
  import: "M12 3v12M8 11l4 4 4-4M4 15v5h16v-5",
  up: "M6 15l6-7 6 7", down: "M6 9l6 7 6-7",
  theme: "M20 14.5A8.5 8.5 0 019.5 4 8.5 8.5 0 1020 14.5z",
  help: "M12 3a9 9 0 100 18 9 9 0 000-18zM9.5 9.5a2.5 2.5 0 115 0c0 1.7-2.5 1.7-2.5 3.8M12 16.7v.2",
  panel: "M4 5h16v14H4zM14 5v14",
  label: "M3 12V4h8l10 10-8 8zM7.5 8.4v.2",
  loop: "M4 12V9a3 3 0 013-3h12l-3-3M20 12v3a3 3 0 01-3 3H5l3 3",
  fill: "M12 3a9 9 0 100 18 9 9 0 000-18zM12 8v8M8 12h8",
  candidate: "M12 3l8 4.5v9L12 21l-8-4.5v-9zM12 8l4 2.2v4L12 16l-4-1.8v-4z",
  specks: "M9 4a6 6 0 100 12 6 6 0 000-12zM18 16v.2M20 20v.2M16 21v.2M21 15v.2",
  copy: "M8 8h12v12H8zM16 8V4H4v12h4", paste: "M7 5H5v16h14V5h-2M8 3h8v4H8zM12 11v6M9 14l3 3 3-3",
  spread: "M3 7h6v10H3zM11 9v6M15 9v6M19 9v6", split: "M12 3v18M9 8l-5 4 5 4M15 8l5 4-5 4", merge: "M12 3v18M3 8l6 4-6 4M21 8l-6 4 6 4",
  network: "M5 3.5a2 2 0 100 4 2 2 0 000-4zM5 16.5a2 2 0 100 4 2 2 0 000-4zM19 10a2 2 0 100 4 2 2 0 000-4zM7 6.5l10 4.5M7 17.5l10-4.5",
  list: "M4 5h4v4H4zM12 7h8M4 15h4v4H4zM12 17h8", check: "M4 12l6 6L20 6",
  clear: "M5 5l14 14M19 5L5 19",
  from: "M9 4H5v16h4M10 12h9M15 8l4 4-4 4", to: "M15 4h4v16h-4M14 12H5M9 8l-4 4 4 4",
};

export function icon(name) {
  const holder = document.createElement("template");
  holder.innerHTML = `<svg viewBox="0 0 24 24" class="i" aria-hidden="true"><path d="${PATHS[name]}"></path></svg>`;
  return holder.content.firstElementChild;
}
