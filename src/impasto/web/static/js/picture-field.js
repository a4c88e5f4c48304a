// @ts-check
// A field for one more picture that an option asks for: built in, or uploaded.
import { pictureUrl, upload } from "./api.js";
import { fill, make, newId } from "./elements.js";
import { fileButton } from "./file-button.js";
import { faultWords, sourceName, t } from "./words.js";

/**
 * @param {object} about
 * @param {string} about.name
 * @param {string} about.help
 * @param {"photo" | "style"} about.kind
 * @param {string[]} about.sources built-in pictures to choose from
 * @param {() => string | null} about.get
 * @param {(source: string | null) => void} about.set
 */
export function pictureField({ name, help, kind, sources, get, set }) {
  const id = newId();
  const fault = make("p", { class: "fault", role: "alert" });
  const face = make("span");
  const select = make("select", {
    id,
    "aria-describedby": `${id}-help`,
    onchange: () => set(select.value || null),
  });
  const take = async (/** @type {File[]} */ [file]) => {
    if (!file) return;
    fill(fault);
    try {
      set((await upload(kind, file, file.name)).id);
    } catch (error) {
      fault.textContent = faultWords(error);
    }
  };
  const show = () => {
    const source = get();
    const isOwn = source !== null && !sources.includes(source);
    fill(
      select,
      make("option", { value: "" }, t("fields.none")),
      isOwn && make("option", { value: source }, t("studio.own")),
      sources.map((one) => make("option", { value: one }, sourceName(one))),
    );
    select.value = source ?? "";
    fill(face, source && make("img", { src: pictureUrl(source, "thumb"), alt: "", width: 48 }));
  };
  const element = make(
    "div",
    { class: "field" },
    make("label", { for: id }, name),
    make(
      "div",
      { class: "picture-field" },
      face,
      select,
      fileButton({ words: t("fields.upload", { name }), take, kind: "icon-button" }),
    ),
    make("p", { class: "help", id: `${id}-help` }, help),
    fault,
  );
  return { element, show };
}
