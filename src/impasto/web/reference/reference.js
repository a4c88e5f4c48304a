// @ts-check
/** Draws the reference of the HTTP interface from openapi.json. */

/** @typedef {Record<string, any>} Json */

/**
 * An element with its text and children.
 * @param {string} tag
 * @param {Record<string, string>} [attributes]
 * @param {...(Node | string)} children
 */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/**
 * A schema in one line, with a link to the type that it names.
 * @param {Json | undefined} schema
 * @returns {Node}
 */
function typeOf(schema) {
  if (!schema || !Object.keys(schema).length) return document.createTextNode("anything");
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    return element("a", { href: `#type-${name}` }, name);
  }
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) {
    const parts = element("span");
    choices.forEach((/** @type {Json} */ one, /** @type {number} */ index) => {
      if (index) parts.append(" or ");
      parts.append(typeOf(one));
    });
    return parts;
  }
  if (schema.enum) return element("span", {}, schema.enum.map((/** @type {any} */ v) => JSON.stringify(v)).join(", "));
  if (schema.const !== undefined) return element("span", {}, JSON.stringify(schema.const));
  if (schema.type === "array") return element("span", {}, "list of ", typeOf(schema.items));
  const limits = [
    ["minimum", "from"], ["exclusiveMinimum", "above"], ["maximum", "to"],
    ["minLength", "at least"], ["maxLength", "at most"], ["pattern", "like"],
  ].filter(([key = ""]) => schema[key] !== undefined).map(([key = "", word]) => `${word} ${schema[key]}`);
  const plain = schema.format ? `${schema.type} (${schema.format})` : schema.type ?? "anything";
  return element("span", {}, [plain, ...limits].join(" "));
}

/**
 * A table of names, types and words.
 * @param {string[]} heads
 * @param {(Node | string)[][]} rows
 */
function table(heads, rows) {
  const head = element("tr", {}, ...heads.map((text) => element("th", { scope: "col" }, text)));
  const body = rows.map((cells) => element("tr", {}, ...cells.map((cell) => element("td", {}, cell))));
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
}

/**
 * One method of one address.
 * @param {string} path
 * @param {string} method
 * @param {Json} operation
 */
function operationOf(path, method, operation) {
  const article = element("article", { id: operation.operationId });
  article.append(
    element("h3", {}, element("span", { class: "method" }, method.toUpperCase()), element("code", {}, path)),
    element("p", {}, element("strong", {}, operation.summary ?? ""), " ", operation.description ?? ""),
  );
  if (operation.parameters?.length) {
    article.append(table(["parameter", "type", "what it is"], operation.parameters.map((/** @type {Json} */ one) => [
      element("code", {}, `${one.name}${one.required ? "" : "?"}`),
      typeOf(one.schema),
      one.description ?? one.schema?.description ?? "",
    ])));
  }
  for (const [media, content] of Object.entries(operation.requestBody?.content ?? {})) {
    article.append(element("p", {}, "Send ", element("code", {}, media), ": ", typeOf(content.schema)));
  }
  article.append(table(["answer", "body", "when"], Object.entries(operation.responses).map(([status, answer]) => {
    const body = element("span");
    Object.entries(answer.content ?? {}).forEach(([media, content], index) => {
      if (index) body.append(", ");
      body.append(element("code", {}, media), " ", content.schema ? typeOf(content.schema) : "");
    });
    return [element("code", {}, status), body, answer.description ?? ""];
  })));
  return article;
}

/**
 * One of the types that bodies are made of.
 * @param {string} name
 * @param {Json} schema
 */
function typeSection(name, schema) {
  const article = element("article", { id: `type-${name}` }, element("h3", {}, name));
  if (schema.description) article.append(element("p", {}, schema.description));
  const required = new Set(schema.required ?? []);
  const fields = Object.entries(schema.properties ?? {});
  if (fields.length) {
    article.append(table(["field", "type", "what it is"], fields.map(([field, type]) => [
      element("code", {}, `${field}${required.has(field) ? "" : "?"}`), typeOf(type), type.description ?? "",
    ])));
  }
  return article;
}

async function draw() {
  const main = /** @type {HTMLElement} */ (document.getElementById("operations"));
  const contents = /** @type {HTMLElement} */ (document.getElementById("contents"));
  const answer = await fetch("/openapi.json");
  if (!answer.ok) throw new Error(`openapi.json: ${answer.status}`);
  const api = await answer.json();
  main.replaceChildren(element("pre", {}, api.info.description ?? ""));
  const list = element("ul");
  /** @type {Map<string, HTMLElement>} */
  const sections = new Map();
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(/** @type {Json} */ (methods))) {
      const tag = operation.tags?.[0] ?? "other";
      let section = sections.get(tag);
      if (!section) {
        section = element("section", {}, element("h2", {}, tag));
        sections.set(tag, section);
        main.append(section);
      }
      section.append(operationOf(path, method, operation));
      const link = element("a", { href: `#${operation.operationId}` }, `${method.toUpperCase()} ${path}`);
      list.append(element("li", {}, link));
    }
  }
  const types = element("section", {}, element("h2", {}, "types"));
  for (const [name, schema] of Object.entries(api.components?.schemas ?? {})) types.append(typeSection(name, schema));
  main.append(types);
  contents.replaceChildren(list);
}

draw().catch((error) => {
  document.getElementById("operations")?.replaceChildren(`The interface cannot be shown: ${error.message}`);
});
