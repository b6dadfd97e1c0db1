/** The page to sign in and out: a session in a cookie, in place of the one that a link has given. */

const says = /** @type {HTMLElement} */ (document.getElementById("says"));

/**
 * Send JSON, and say what the server answers if it refuses.
 * @param {string} path
 * @param {object} values
 * @returns {Promise<boolean>} whether it was accepted
 */
async function post(path, values) {
  const headers = { "Content-Type": "application/json" };
  try {
    const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(values) });
    says.textContent = answer.ok ? "" : await answer.text();
    return answer.ok;
  } catch {
    says.textContent = "the server does not answer";
    return false;
  }
}

/**
 * @param {string} id
 * @returns {string}
 */
const valueOf = (id) => /** @type {HTMLInputElement} */ (document.getElementById(id)).value;

document.getElementById("login")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (await post("login", { user: valueOf("user"), password: valueOf("password") })) {
    location.assign("./");
  }
});
document.getElementById("logout")?.addEventListener("click", async () => {
  if (await post("logout", {})) {
    says.textContent = "Signed out.";
  }
});
