/** Tables, by rows of text. */

import { block } from "./dom.js";
import { writeInline } from "./inline.js";

/**
 * A table that has its head.
 * @param {string} head
 * @param {string[]} rules  the cells of the line below it
 */
export function table(head, rules) {
  const sides = rules.map((cell) => (cell.endsWith(":") ? (cell.startsWith(":") ? "center" : "right") : ""));
  const element = document.createElement("div");
  element.className = "table";
  element.tabIndex = 0; // it may scroll, so the keyboard has to reach it
  element.setAttribute("role", "group");
  element.setAttribute("aria-label", "Table");
  const table = element.appendChild(document.createElement("table"));
  table.appendChild(document.createElement("thead")).append(tableRow(head, "th", sides));
  return { element, body: table.appendChild(document.createElement("tbody")), sides };
}

/**
 * The cells of a row, at the bars that are neither escaped nor in code.
 * @param {string} line
 */
export function cells(line) {
  const found = [];
  let cell = "";
  let code = false;
  const text = line.trim();
  for (let at = 1; at < text.length; at++) {
    const char = text[at];
    if (char === "\\" && text[at + 1] === "|") cell += text[++at];
    else if (char === "|" && !code) {
      found.push(cell.trim());
      cell = "";
    } else {
      if (char === "`") code = !code && text.includes("`", at + 1);
      cell += char;
    }
  }
  if (cell.trim() !== "") found.push(cell.trim());
  return found;
}

/**
 * @param {string} line
 * @param {"td" | "th"} tag
 * @param {string[]} sides
 */
export function tableRow(line, tag, sides) {
  const row = document.createElement("tr");
  const texts = cells(line);
  for (let column = 0; column < sides.length || column < texts.length; column++) {
    const cell = row.appendChild(block(tag));
    if (sides[column]) cell.className = sides[column];
    writeInline(cell, texts[column] ?? "");
  }
  return row;
}
