// @ts-check
// Makes elements. Nothing from outside ever becomes markup: texts are text nodes.

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * An element with attributes and children. `on…` are listeners; `true` sets an empty attribute;
 * `false`, `null` and `undefined` set none.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} [attributes]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked") Object.assign(element, { [name]: value });
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...kept(children));
  return element;
}

/** @param {(Child | Child[])[]} children @returns {(Node | string)[]} */
function kept(children) {
  return children
    .flat()
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : String(child)));
}

/** @param {Element} element @param {...(Child | Child[])} children */
export function fill(element, ...children) {
  element.replaceChildren(...kept(children));
}

/**
 * Loads a style sheet that not every page needs.
 * @param {string} name
 * @returns {Promise<void>}
 */
export function addStyles(name) {
  const href = `/static/css/${name}.css`;
  if (document.querySelector(`link[href="${href}"]`)) return Promise.resolve();
  return new Promise((resolve) => {
    // A page without its styles still works.
    const done = () => resolve();
    document.head.append(make("link", { rel: "stylesheet", href, onload: done, onerror: done }));
  });
}

let last = 0;
/** An id that no other element has. */
export function newId() {
  last += 1;
  return `e${last}`;
}

/** @type {Record<string, string>} */
const ICONS = {
  photo: "M4 6h4l1.5-2h5L16 6h4v13H4zM12 16a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7z",
  upload: "M12 15V4m-4 4 4-4 4 4M4 15v5h16v-5",
  download: "M12 4v11m-4-4 4 4 4-4M4 15v5h16v-5",
  gallery: "M4 4h16v16H4zM4 16l5-5 4 4 3-3 4 4M15.5 8.5h.01",
  brush: "M20 4 10 14m-1 0c-3 0-4 2-4 6 4 0 7-1 7-4 0-1-1-2-3-2zM20 4l-7 11-2-2z",
  pause: "M8 5v14M16 5v14",
  play: "M7 4v16l13-8z",
  stop: "M6 6h12v12H6z",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5",
  again: "M20 12a8 8 0 1 1-2.5-5.8M20 3v4h-4",
  undo: "M8 5 4 9l4 4M4 9h10a6 6 0 0 1 0 12h-3",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  close: "M6 6l12 12M18 6 6 18",
  print: "M7 9V4h10v5M7 17H4V9h16v8h-3M7 14h10v6H7z",
  link: "M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1",
  sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 2v2m0 16v2M2 12h2m16 0h2M5 5l1.5 1.5m11 11L19 19M5 19l1.5-1.5m11-11L19 5",
  moon: "M20 14A8 8 0 1 1 10 4a7 7 0 0 0 10 10z",
};

/** A drawing that says what words beside it say too. @param {string} name */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", ICONS[name] ?? "");
  svg.append(path);
  return svg;
}

/**
 * A button with a drawing and words.
 * @param {string} drawing name of an icon, or ""
 * @param {string} words
 * @param {(event: MouseEvent) => void} press
 * @param {string} [kind] classes
 */
export function button(drawing, words, press, kind = "") {
  return make(
    "button",
    { type: "button", class: kind, onclick: press },
    drawing && icon(drawing),
    words,
  );
}

/**
 * Shows how far a slider is set; browsers without `::-moz-range-progress` need telling.
 * @param {HTMLInputElement} slider
 */
export function showFilled(slider) {
  const low = Number(slider.min || 0);
  const share = (Number(slider.value) - low) / (Number(slider.max || 100) - low || 1);
  slider.style.setProperty("--filled", `${Math.round(share * 100)}%`);
}

/**
 * A slider with its name, its value in words and both ends.
 * @param {object} about
 * @param {string} about.name
 * @param {number} about.value
 * @param {number} about.min
 * @param {number} about.max
 * @param {(value: number) => string} about.say the value in words
 * @param {[string, string]} [about.ends]
 * @param {string} [about.help]
 * @param {(value: number) => void} [about.oninput]
 * @param {(value: number) => void} [about.onchange]
 */
export function slider(about) {
  const id = newId();
  const said = make("output", { for: id });
  const input = make("input", {
    type: "range",
    id,
    min: about.min,
    max: about.max,
    step: 1,
    "aria-describedby": about.help ? `${id}-help` : null,
  });
  const show = () => {
    const words = about.say(Number(input.value));
    said.textContent = words;
    input.setAttribute("aria-valuetext", words);
    showFilled(input);
  };
  input.addEventListener("input", () => {
    show();
    about.oninput?.(Number(input.value));
  });
  input.addEventListener("change", () => about.onchange?.(Number(input.value)));
  const set = (/** @type {number} */ value) => {
    input.value = String(value);
    show();
  };
  set(about.value);
  const element = make(
    "div",
    { class: "field" },
    make("div", { class: "field-head" }, make("label", { for: id }, about.name), said),
    input,
    about.ends &&
      make(
        "div",
        { class: "ends help", "aria-hidden": "true" },
        make("span", {}, about.ends[0]),
        make("span", {}, about.ends[1]),
      ),
    about.help && make("p", { class: "help", id: `${id}-help` }, about.help),
  );
  return { element, input, set };
}

/**
 * A window with a question.
 * @param {string} question
 * @param {string} explanation
 * @param {string} yes
 * @param {string} no
 * @returns {Promise<boolean>}
 */
export function ask(question, explanation, yes, no) {
  const id = newId();
  const dialog = make("dialog", { class: "question rows", "aria-labelledby": id });
  return new Promise((resolve) => {
    dialog.append(
      make("h2", { id }, question),
      make("p", {}, explanation),
      make(
        "div",
        { class: "row" },
        button("", no, () => dialog.close("no"), "main-button"),
        button("", yes, () => dialog.close("yes")),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
