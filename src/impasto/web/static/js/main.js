// @ts-check
// Draws the frame, then the page that the address names.
import { announce } from "./announce.js";
import { call, whoAmI } from "./api.js";
import { connectionBanner } from "./connection.js";
import { addStyles, fill, make } from "./elements.js";
import { go, startRouter } from "./router.js";
import { themeSwitch } from "./theme.js";
import { faultWords, keepLanguage, language, languages, loadWords, t } from "./words.js";

/** @import {Me} from "./types.js" */
/** @typedef {{title: string, element: HTMLElement, leave?: () => void}} Page */

const header = /** @type {HTMLElement} */ (document.getElementById("header"));
const main = /** @type {HTMLElement} */ (document.getElementById("main"));
const footer = /** @type {HTMLElement} */ (document.getElementById("footer"));

/** @type {[RegExp, (me: Me, found: RegExpMatchArray) => Promise<Page>][]} */
const PAGES = [
  [/^\/$/, async (me) => (await import("./page-studio.js")).studioPage(me)],
  [
    /^\/job\/([\w-]+)$/,
    async (me, [, id]) => {
      await addStyles("viewer");
      return (await import("./page-job.js")).jobPage(me, id ?? "");
    },
  ],
  [
    /^\/(gallery|shared)$/,
    async (_me, [, name]) => {
      await addStyles("gallery");
      const { galleryPage, sharedPage } = await import("./page-gallery.js");
      return name === "gallery" ? galleryPage() : sharedPage();
    },
  ],
  [/^\/clip$/, async (me) => (await import("./page-clip.js")).clipPage(me)],
  [/^\/login$/, async () => (await import("./page-login.js")).loginPage()],
  [/^\/about$/, async (me) => (await import("./page-about.js")).aboutPage(me)],
];

/** @type {(() => void) | undefined} */
let leave;
let drawn = 0;

async function drawPage() {
  const turn = ++drawn;
  leave?.();
  leave = undefined;
  /** @type {Page} */
  let page;
  /** @type {Me | null} */
  let me = null;
  try {
    me = await whoAmI();
    if (me.needs_password && !me.signed_in && location.pathname !== "/login") {
      go(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
      return;
    }
    const route = PAGES.find(([pattern]) => pattern.test(location.pathname));
    if (!route) throw { code: "no_page" };
    const found = /** @type {RegExpMatchArray} */ (location.pathname.match(route[0]));
    page = await route[1](me, found);
  } catch (error) {
    if (turn !== drawn) return;
    const words = faultWords(error);
    page = {
      title: words,
      element: make(
        "div",
        { class: "page narrow" },
        make("h1", {}, words),
        make("p", {}, make("a", { href: "/" }, t("frame.to_studio"))),
      ),
    };
    addEventListener("reached", () => turn === drawn && drawPage(), { once: true });
  }
  if (turn !== drawn) {
    page.leave?.();
    return;
  }
  leave = page.leave;
  document.title = `${page.title} – impasto`;
  drawFrame(me);
  fill(main, page.element);
  if (turn > 1) {
    const heading = /** @type {HTMLElement | null} */ (
      page.element.querySelector("h1:not([hidden])")
    );
    scrollTo(0, 0);
    heading?.setAttribute("tabindex", "-1");
    heading?.focus({ preventScroll: true });
    announce(page.title);
  }
}

/** @param {Me | null} me */
function drawFrame(me) {
  const places = [
    ["/", t("frame.studio")],
    ["/gallery", t("frame.gallery")],
    ...(me?.shared_gallery ? [["/shared", t("frame.shared")]] : []),
  ];
  const link = (/** @type {string[]} */ [address, words]) =>
    make(
      "li",
      {},
      make(
        "a",
        { href: address, "aria-current": location.pathname === address ? "page" : null },
        words,
      ),
    );
  const choice = make(
    "select",
    {
      "aria-label": t("frame.language"),
      onchange: async () => {
        keepLanguage(choice.value);
        await loadWords(choice.value);
        connectionBanner();
        await drawPage();
        header.querySelector("select")?.focus();
      },
    },
    Object.entries(languages).map(([name, words]) =>
      make("option", { value: name, lang: name, selected: name === language }, words),
    ),
  );
  const signedOut = me?.needs_password && !me.signed_in;
  fill(
    header,
    make("a", { class: "skip button", href: "#main", onclick: toMain }, t("frame.skip")),
    make(
      "div",
      { class: "bar" },
      make(
        "a",
        { class: "wordmark", href: "/" },
        make("img", { src: "/static/pictures/mark.svg", alt: "", width: 32, height: 32 }),
        "impasto",
      ),
      !signedOut && make("nav", { "aria-label": t("frame.pages") }, make("ul", {}, places.map(link))),
      make("div", { class: "ways" }, choice, themeSwitch()),
    ),
    connectionBanner(),
  );
  fill(
    footer,
    make(
      "p",
      {},
      make("a", { href: "/about" }, t("frame.about")),
      make("a", { href: "/docs" }, t("frame.api")),
      me?.needs_password &&
        me.signed_in &&
        make("button", { type: "button", onclick: signOut }, t("frame.sign_out")),
      me && make("span", {}, `impasto ${me.version}`),
    ),
  );
}

/** Not at an address of its own, which a foreign link could lead to. */
async function signOut() {
  try {
    await call("POST", "/logout");
    go("/login");
  } catch (error) {
    announce(faultWords(error));
  }
}

/** @param {Event} event */
function toMain(event) {
  event.preventDefault();
  main.setAttribute("tabindex", "-1");
  main.focus();
}

addEventListener("signin", () => {
  go(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
});
// A wheel scrolls the page, even over a number.
addEventListener("wheel", ({ target }) => {
  if (target instanceof HTMLInputElement && target.type === "number") target.blur();
});
await loadWords();
startRouter(drawPage);
await drawPage();
