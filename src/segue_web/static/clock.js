// Times of a video as text, the same on every page.

/**
 * Minutes, seconds and hundredths, after the hours if there are any.
 * @param {number} seconds
 */
export function clock(seconds) {
  const hundredths = Math.floor(Math.abs(seconds) * 100 + 1e-6);
  const two = (/** @type {number} */ number) => String(number).padStart(2, "0");
  const hours = Math.floor(hundredths / 360000);
  const rest = `${two(Math.floor(hundredths / 6000) % 60)}:${two(Math.floor(hundredths / 100) % 60)}.${two(hundredths % 100)}`;
  return hours ? `${hours}:${rest}` : rest;
}
