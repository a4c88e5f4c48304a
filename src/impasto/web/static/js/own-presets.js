// @ts-check
// A window with the visitor's own presets: save, use, overwrite, rename, delete and bring back.
import { call } from "./api.js";
import { dialogHead } from "./dialog-head.js";
import { addStyles, ask, button, fill, make, newId } from "./elements.js";
import { faultWords, language, loadLaterWords, t } from "./words.js";

/** @import {Settings} from "./settings.js" */
/** @import {OwnPreset} from "./types.js" */

/** Letters that a preset's name may have. */
const LONGEST = 60;

/** @param {string} name as the server will have it */
const tidy = (name) => name.trim().replace(/\s+/g, " ");

/** @param {OwnPreset} a @param {OwnPreset} b */
const byName = (a, b) => a.name.localeCompare(b.name, language);

/** An id for a preset: the browser's choice, so that to save again is to save once. */
function freshId() {
  const letters = btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(18))));
  return letters.replaceAll("+", "-").replaceAll("/", "_").slice(0, 22);
}

/** @param {string} id @param {string} [value] */
function nameField(id, value = "") {
  const field = { id, type: "text", maxlength: LONGEST, required: true, autocomplete: "off", value };
  return make("input", field);
}

/** @param {string} name */
function mayOverwrite(name) {
  const question = t("own.overwrite_ask", { name });
  return ask(question, t("own.overwrite_why"), t("own.overwrite"), t("own.keep"));
}

/** Opens it. @param {Settings} settings @param {OwnPreset[]} own @param {() => void} changed */
export async function ownPresets(settings, own, changed) {
  await Promise.all([addStyles("presets"), loadLaterWords()]);
  new OwnPresets(settings, own, changed).dialog.showModal();
}

class OwnPresets {
  /** Those that can be brought back. @type {OwnPreset[]} */
  #deleted = [];
  /** Id of the one that is being renamed. */
  #renamed = "";
  /** What is typed as its new name. */
  #typed = "";
  /** What went wrong at one of them: its id, and words. */
  #wrong = ["", ""];

  /** @param {Settings} settings @param {OwnPreset[]} own @param {() => void} changed */
  constructor(settings, own, changed) {
    this.settings = settings;
    this.own = own;
    this.changed = changed;
    const id = newId();
    this.list = make("ul", { class: "presets" });
    this.fault = make("p", { class: "fault", role: "alert" });
    // What is told so is seen in the list.
    this.told = make("p", { class: "unseen", role: "status" });
    this.dialog = make(
      "dialog",
      { class: "own-presets", "aria-labelledby": id, onclose: () => this.#leave() },
      dialogHead(make("h2", { id }, t("own.title")), t("gallery.close"), () => this.dialog.close()),
      settings.hasOwn() ? this.#saving() : make("p", { class: "quiet" }, t("own.nothing")),
      this.fault,
      this.told,
      this.list,
    );
    document.body.append(this.dialog);
    this.#draw();
  }

  #leave() {
    this.dialog.remove();
    // What could not be saved is shown at its field.
    if (this.fault.textContent) this.settings.refusal();
  }

  /** Whether the present settings can be saved; says why not. */
  #canSave() {
    this.fault.textContent = this.settings.refusal();
    return !this.fault.textContent;
  }

  #saving() {
    const input = nameField(newId());
    const save = async (/** @type {Event} */ event) => {
      event.preventDefault();
      const name = tidy(input.value);
      if (!name) {
        this.fault.textContent = t("own.no_name");
        input.focus();
      }
      if (!name || !this.#canSave()) return;
      const same = this.own.find((one) => one.name === name);
      if (same && !(await mayOverwrite(name))) return;
      const preset = { id: same?.id ?? freshId(), name, options: this.settings.kept() };
      if (await this.#save(preset, t("own.saved", { name }), "")) input.value = "";
    };
    return make(
      "form",
      { class: "field", novalidate: true, onsubmit: save },
      make("label", { for: input.id }, t("own.save_as")),
      make("div", { class: "name-row" }, input, make("button", { type: "submit" }, t("job.save"))),
      make("p", { class: "help" }, this.#words(this.settings.kept())),
    );
  }

  /** What options are about. @param {Record<string, any>} options */
  #words({ preset = this.settings.options.defaults.preset, ...others }) {
    const names = Object.keys(others).map((name) => t(`options.${name}.name`, {}, name));
    return [t(`presets.${preset}.name`, {}, preset), names.join(", ")].filter(Boolean).join(" · ");
  }

  /** @param {string} id @param {string} what a button does */
  #focus(id, what) {
    const found = this.list.querySelector(`[data-preset="${id}"] [data-do="${what}"]`);
    /** @type {HTMLElement | null} */ (found)?.focus();
  }

  /**
   * Has the server do something.
   * @param {() => Promise<void>} what @param {string} words to say then
   * @param {string} at id of the one at which to say what goes wrong, if any
   * @returns {Promise<boolean>} whether it did
   */
  async #act(what, words, at) {
    fill(this.fault);
    fill(this.told);
    this.#wrong = ["", ""];
    let isDone = true;
    try {
      await what();
      this.told.textContent = words;
      if (this.#renamed === at) this.#renamed = "";
    } catch (error) {
      isDone = false;
      // Another page may have changed them.
      const found = await call("GET", "/presets").catch(() => null);
      if (found) this.own.splice(0, this.own.length, ...found);
      const gone = this.#deleted.find(({ id }) => id === at);
      const isTaken = gone && /** @type {any} */ (error).code === "name_taken";
      const why = isTaken ? t("own.in_the_way", { name: gone.name }) : faultWords(error);
      if (gone || this.own.some(({ id }) => id === at)) this.#wrong = [at, why];
      else this.fault.textContent = why;
    }
    this.changed();
    this.#draw();
    return isDone;
  }

  /** @param {OwnPreset} preset @param {string} words to say then @param {string} [at] */
  #save(preset, words, at = preset.id) {
    const { id, name, options } = preset;
    return this.#act(async () => {
      const isSet = this.settings.holds(options);
      const saved = /** @type {OwnPreset} */ (await call("PUT", `/presets/${id}`, { name, options }));
      this.#drop(id);
      this.own.push(saved);
      this.own.sort(byName);
      // In the form in which the server keeps them.
      if (isSet) this.settings.take(saved.options, id);
    }, words, at);
  }

  /** @param {string} id */
  #drop(id) {
    const kept = this.own.filter((one) => one.id !== id);
    this.own.splice(0, this.own.length, ...kept);
    this.#deleted = this.#deleted.filter((one) => one.id !== id);
  }

  #draw() {
    const row = (/** @type {OwnPreset} */ one) => {
      if (this.#deleted.includes(one)) return this.#gone(one);
      return one.id === this.#renamed ? this.#renaming(one) : this.#row(one);
    };
    const all = [...this.own, ...this.#deleted].toSorted(byName);
    const [wrong, words = ""] = this.#wrong;
    const fault = (/** @type {string} */ id) =>
      id === wrong && make("p", { class: "fault", role: "alert" }, words);
    fill(this.list, all.map((one) => make("li", { "data-preset": one.id }, row(one), fault(one.id))));
  }

  /**
   * @param {string} what @param {string} drawing @param {string} words
   * @param {OwnPreset} preset @param {() => any} press
   */
  #button(what, drawing, words, preset, press) {
    const made = button(drawing, words, press, "plain-button small-button");
    made.dataset.do = what;
    made.setAttribute("aria-label", t("own.of", { action: words, name: preset.name }));
    return made;
  }

  /** @param {OwnPreset} preset */
  #row(preset) {
    const { id, name, options } = preset;
    const use = () => {
      this.settings.take(options, id);
      this.dialog.close();
    };
    const rename = () => {
      this.#renamed = id;
      this.#typed = name;
      this.#draw();
      const field = this.list.querySelector("input");
      field?.focus();
      field?.select();
    };
    const overwrite = async () => {
      if (!this.#canSave() || !(await mayOverwrite(name))) return;
      await this.#save({ id, name, options: this.settings.kept() }, t("own.saved", { name }));
      this.#focus(id, "overwrite");
    };
    const remove = async () => {
      const isDone = await this.#act(async () => {
        const gone = await call("DELETE", `/presets/${id}`);
        this.#drop(id);
        this.#deleted.push(gone);
      }, t("gallery.deleted", { name }), id);
      if (isDone) this.#focus(id, "undo");
    };
    return [
      make("div", {}, make("h3", {}, name), make("p", { class: "help" }, this.#words(options))),
      make(
        "div",
        { class: "row" },
        this.#button("use", "", t("own.use"), preset, use),
        this.settings.hasOwn() && this.#button("overwrite", "", t("own.overwrite"), preset, overwrite),
        this.#button("rename", "", t("job.rename"), preset, rename),
        this.#button("delete", "", t("gallery.delete"), preset, remove),
      ),
    ];
  }

  /** @param {OwnPreset} preset */
  #gone(preset) {
    const { id, name } = preset;
    const undo = async () => {
      const isBack = await this.#save(preset, t("gallery.restored", { name }));
      this.#focus(id, isBack ? "delete" : "undo");
    };
    return [
      make("p", { class: "quiet" }, t("gallery.deleted", { name })),
      this.#button("undo", "undo", t("gallery.undo"), preset, undo),
    ];
  }

  /** @param {OwnPreset} preset */
  #renaming(preset) {
    const { id, options } = preset;
    const input = nameField(newId(), this.#typed);
    input.dataset.do = "name";
    input.addEventListener("input", () => (this.#typed = input.value));
    const leave = () => {
      this.#renamed = "";
      this.#wrong = ["", ""];
      this.#draw();
      this.#focus(id, "rename");
    };
    const save = async (/** @type {Event} */ event) => {
      event.preventDefault();
      const name = tidy(input.value);
      if (!name) {
        this.#wrong = [id, t("own.no_name")];
        this.#draw();
      } else if (await this.#save({ id, name, options }, t("own.renamed", { name }))) {
        this.#focus(id, "rename");
        return;
      }
      this.#focus(id, "name");
    };
    const onkeydown = (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "Escape") return;
      // The window stays.
      event.preventDefault();
      leave();
    };
    return make(
      "form",
      { class: "field", novalidate: true, onsubmit: save, onkeydown },
      make("label", { for: input.id }, t("own.new_name", { name: preset.name })),
      make(
        "div",
        { class: "name-row" },
        input,
        make("button", { type: "submit" }, t("job.save")),
        button("", t("job.keep_name"), leave, "plain-button"),
      ),
    );
  }
}
