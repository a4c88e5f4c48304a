// @ts-check
// Runs before the page is drawn, so that it never flashes in the other theme.
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    let wanted = null;
    try {
      wanted = localStorage.getItem("theme");
    } catch {
      // Storage may be forbidden; the system's choice is then the only one.
    }
    const theme = wanted === "dark" || wanted === "light" ? wanted : dark.matches ? "dark" : "light";
    document.documentElement.dataset.theme = theme;
  };
  apply();
  dark.addEventListener("change", apply);
  addEventListener("storage", apply);
  addEventListener("theme", apply);
})();
