// What the page of cameras asks of its server.

const CONFLICT = 409; // another person has changed the value in the meantime

/** An answer of the server; what it refuses is an error with its reason. */
export async function get(/** @type {string} */ path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

/** Send values. */
export const send = (/** @type {string} */ path, /** @type {unknown} */ values) =>
  fetch(path, {
    method: "POST",
    body: JSON.stringify(values),
    headers: { "Content-Type": "application/json" },
  });

/** Send what is to be saved; gives why it was refused, or nothing. @returns {Promise<string>} */
export async function post(/** @type {string} */ path, /** @type {unknown} */ values) {
  const response = await send(path, values);
  if (response.status === CONFLICT) return (await response.json()).error;
  return response.ok ? "" : response.text();
}
