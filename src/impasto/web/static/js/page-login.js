// @ts-check
// The door, where the host has set a password.
import { call, whoAmI } from "./api.js";
import { fill, make, newId } from "./elements.js";
import { go } from "./router.js";
import { faultWords, loadLaterWords, t } from "./words.js";

/** @returns {Promise<import("./main.js").Page>} */
export async function loginPage() {
  await loadLaterWords();
  const query = new URLSearchParams(location.search);
  const next = query.get("next") ?? "/";
  const id = newId();
  const fault = make("p", { class: "fault", role: "alert", id: `${id}-fault` });
  const password = make("input", {
    id,
    type: "password",
    autocomplete: "current-password",
    required: true,
    "aria-describedby": `${id}-fault`,
  });
  const enter = async (/** @type {Event} */ event) => {
    event.preventDefault();
    fill(fault);
    try {
      await call("POST", "/login", { password: password.value });
      await whoAmI();
      // An address that begins with two strokes would lead to another host.
      go(/^\/(?![/\\])/.test(next) ? next : "/");
    } catch (error) {
      fault.textContent = faultWords(error);
      password.select();
      password.focus();
    }
  };
  return {
    title: t("login.title"),
    element: make(
      "div",
      { class: "page narrow" },
      make("h1", {}, t("login.title")),
      make("p", { class: "quiet" }, t("login.help")),
      make(
        "form",
        { class: "rows", onsubmit: enter },
        make("div", { class: "field" }, make("label", { for: id }, t("login.password")), password, fault),
        make("div", {}, make("button", { type: "submit", class: "main-button" }, t("login.enter"))),
      ),
    ),
  };
}
