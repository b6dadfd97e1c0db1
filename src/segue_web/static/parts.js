// The parts of the pages that scripts ask for by their ids, and what they are; a test compares them with the pages.

export {};

/**
 * @typedef {"camera-events" | "sign-in"} AnchorId
 */
/**
 * @typedef {"camera-armed" | "draw" | "events-more" | "logout" | "mark-all" | "mark-kept" | "mark-reviewed" | "mask" |
 *   "masks" | "pause" | "project" | "remarks" | "reset-grade" | "screen" | "select-none" | "tab-found" |
 *   "tab-next" | "tab-objects" | "theme" | "zone-back" | "zone-copy" | "zone-leave" | "zone-new" | "zone-save"
 *   | "zones" | "zoom"} ButtonId
 */
/**
 * @typedef {"canvas" | "timeline"} CanvasId
 */
/**
 * @typedef {"categories" | "groups"} DataListId
 */
/**
 * @typedef {"dialog"} DialogId
 */
/**
 * @typedef {"about" | "age" | "attributes" | "camera" | "camera-about" | "camera-error" | "camera-last" |
 *   "camera-name" | "camera-status" | "change-keys" | "change-views" | "changes" | "changes-range" |
 *   "changes-text" | "changes-title" | "charts" | "clock" | "compare-modes" | "counts" | "counts-empty" |
 *   "dialog-title" | "display" | "doubtful" | "drop" | "edge" | "edge-text" | "events" | "events-empty" |
 *   "events-new" | "events-title" | "found" | "frame-count" | "frames" | "health" | "health-head" |
 *   "health-rows" | "here" | "here-actions" | "here-text" | "here-title" | "hint" | "jobs" | "last-title" |
 *   "legend-attribute" | "legend-changed" | "legend-remark" | "list-found" | "list-next" | "list-objects" |
 *   "mask-actions" | "mask-menu" | "nearest" | "new-zone" | "new-zone-title" | "news" | "next" | "next-empty"
 *   | "notices" | "objects" | "objects-empty" | "offline" | "process" | "progress" | "project-menu" |
 *   "progress-rate" | "progress-what" | "queue" | "queue-title" | "range" | "rate" | "run-name" | "saved" |
 *   "says" | "score" | "score-title" | "selected" | "selection" | "shape" | "shape-text" | "side" |
 *   "side-edge" | "timeline-box" | "timeline-edge" | "timeline-list" | "timeline-space" | "tools" |
 *   "video-name" | "view" | "waiting" | "wall" | "zone-form" | "zone-hint" | "zone-list" | "zone-name-row" |
 *   "zone-none" | "zone-says" | "zones-title"} OtherId
 */
/**
 * @typedef {"filters" | "login"} FormId
 */
/**
 * @typedef {"attribute" | "backdrop" | "brush" | "by-after" | "by-before" | "by-search" | "by-unreviewed" | "category"
 *   | "edge-detail" | "edge-feather" | "edge-grow" | "edge-width" | "filter" | "frame" | "group" | "hatched" |
 *   "name" | "neighbours" | "opacity" | "password" | "set-exposure" | "set-gamma" | "stride" | "threshold" |
 *   "user" | "wanted" | "zone-name"} InputId
 */
/**
 * @typedef {"shown-exposure" | "shown-gamma" | "zone-text"} OutputId
 */
/**
 * @typedef {"bar" | "progress-bar"} ProgressId
 */
/**
 * @typedef {"by-camera" | "by-event" | "by-label" | "by-zone" | "counts-by" | "counts-camera" | "detector" | "guides"
 *   | "palette" | "seek" | "shape-motion" | "speed" | "zone-kind"} SelectId
 */
/**
 * @typedef {Record<AnchorId, HTMLAnchorElement> &
 *   Record<ButtonId, HTMLButtonElement> &
 *   Record<CanvasId, HTMLCanvasElement> &
 *   Record<DataListId, HTMLDataListElement> &
 *   Record<DialogId, HTMLDialogElement> &
 *   Record<OtherId, HTMLElement> &
 *   Record<FormId, HTMLFormElement> &
 *   Record<InputId, HTMLInputElement> &
 *   Record<OutputId, HTMLOutputElement> &
 *   Record<ProgressId, HTMLProgressElement> &
 *   Record<SelectId, HTMLSelectElement>} Parts
 */
