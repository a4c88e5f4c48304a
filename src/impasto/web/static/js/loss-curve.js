// @ts-check
// The loss curve: how far the picture is from its goal, evaluation by evaluation, and in words.
import { fill, make } from "./elements.js";
import { number, t } from "./words.js";

const WIDTH = 320;
const HEIGHT = 120;

export function lossCurve() {
  /** @type {[number, number][]} evaluation and loss */
  let points = [];
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("role", "img");
  const words = make("figcaption", { class: "help" });
  const element = make("figure", { class: "curve", hidden: true }, svg, words);

  const draw = () => {
    element.hidden = points.length < 2;
    if (element.hidden) return;
    const losses = points.map(([, loss]) => Math.log(Math.max(loss, 1e-12)));
    const [low, high] = [Math.min(...losses), Math.max(...losses)];
    const [first, last] = [points[0]?.[0] ?? 0, points.at(-1)?.[0] ?? 1];
    const path = points.map(([evaluation], i) => {
      const x = ((evaluation - first) / (last - first || 1)) * (WIDTH - 8) + 4;
      const y = ((high - (losses[i] ?? 0)) / (high - low || 1)) * (HEIGHT - 16) + 8;
      return `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    });
    const curve = document.createElementNS(svg.namespaceURI, "path");
    curve.setAttribute("d", path.join(""));
    const ground = document.createElementNS(svg.namespaceURI, "line");
    for (const [name, value] of Object.entries({ x1: 0, x2: WIDTH, y1: HEIGHT - 1, y2: HEIGHT - 1 })) {
      ground.setAttribute(name, String(value));
    }
    fill(svg, ground, curve);
    const text = t("job.curve", {
      from: short(points[0]?.[1] ?? 0),
      to: short(points.at(-1)?.[1] ?? 0),
      count: points.length,
    });
    words.textContent = text;
    svg.setAttribute("aria-label", text);
  };
  return {
    element,
    /** @param {number[]} evaluations @param {number[]} losses */
    set(evaluations, losses) {
      points = losses.map((loss, i) => [evaluations[i] ?? i, loss]);
      draw();
    },
    /** @param {number} evaluation @param {number} loss */
    add(evaluation, loss) {
      if (evaluation <= (points.at(-1)?.[0] ?? -1)) return;
      points.push([evaluation, loss]);
      draw();
    },
  };
}

/** @param {number} value */
function short(value) {
  return number(value, { maximumSignificantDigits: 3 });
}
