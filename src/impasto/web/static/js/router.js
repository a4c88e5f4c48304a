// @ts-check
// Goes from page to page without loading anew, and to the right place when it was asked to.

/** @type {() => void} */
let show = () => {};

/** @param {() => void} draw draws the page of the present address */
export function startRouter(draw) {
  show = draw;
  addEventListener("popstate", draw);
  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target.closest("a") : null;
    if (!target || event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const inside = target.origin === location.origin && !/^\/(api|static|docs)/.test(target.pathname);
    if (!inside || target.target || target.hasAttribute("download") || target.hash) return;
    event.preventDefault();
    go(target.pathname + target.search);
  });
}

/** @param {string} address */
export function go(address) {
  history.pushState(null, "", address);
  show();
}

/** Changes the address without leaving the page. @param {string} address */
export function setAddress(address) {
  if (address !== location.pathname + location.search) history.replaceState(null, "", address);
}
