// @ts-check
// The switch between light and dark. A choice like the system's own is not kept, so that the page
// follows the system again.
import { icon, make } from "./elements.js";
import { t } from "./words.js";

const dark = matchMedia("(prefers-color-scheme: dark)");

/** The button that changes between light and dark. */
export function themeSwitch() {
  const button = make("button", { class: "icon-button", type: "button" });
  const show = () => {
    const isDark = document.documentElement.dataset.theme === "dark";
    button.replaceChildren(icon(isDark ? "sun" : "moon"));
    const name = t(isDark ? "frame.light" : "frame.dark");
    button.setAttribute("aria-label", name);
    button.title = name;
  };
  button.addEventListener("click", () => {
    const wanted = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try {
      if (wanted === (dark.matches ? "dark" : "light")) localStorage.removeItem("theme");
      else localStorage.setItem("theme", wanted);
    } catch {
      // Kept for this page only.
    }
    dispatchEvent(new Event("theme"));
    document.documentElement.dataset.theme = wanted;
    show();
  });
  dark.addEventListener("change", () => setTimeout(show));
  show();
  return button;
}
