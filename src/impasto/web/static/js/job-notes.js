// @ts-check
// What the server notes of a job, known by its words.
import { t } from "./words.js";

/** @type {[RegExp, string][]} */
const NOTES = [
  [/so it began anew$/, "began_anew"],
  [/^the disk is full, so its state/, "no_room"],
  [/^its state could not be saved/, "unsaved"],
  [/^the disk is full, so the picture/, "no_room_at_end"],
  [/^the picture could not be written/, "unwritten"],
  [/^it keeps its strength/, "keeps_strength"],
  [/went on with less/, "less_memory"],
];

/** A note in the page's language, or nothing where it has no words. @param {string} note */
export function noteWords(note) {
  const name = NOTES.find(([words]) => words.test(note))?.[1];
  return name ? t(`notes.${name}`) : "";
}
