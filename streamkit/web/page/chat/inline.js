/**
 * The inside of a paragraph: emphasis, code, links, as nodes, while it is still being written.
 *
 * What is certain is appended and never touched again; what may still become something else (an open `**`, half an address)
 * is shown as what it looks like, and looked at again with the next write. That tail is at most `REACH` characters long, so
 * any text costs linear time. Markup is what it is once it is closed, within reach; all else stays the characters it was:
 * nothing that a model says is lost. No HTML is ever parsed.
 */

import { lastCharacter } from "./emphasis.js";
import { link } from "./links.js";
import { tokenize } from "./tokens.js";

/** @typedef {import("./tokens.js").Token} Token */

/** Writes the text of one paragraph, heading, item or cell into an element. */
export class InlineWriter {
  #element;
  #pending = "";
  #before = ""; // the character before #pending
  #tail = /** @type {ChildNode[]} */ ([]);

  /** @param {HTMLElement} element */
  constructor(element) {
    this.#element = element;
  }

  /** @param {string} text */
  write(text) {
    this.#pending += text;
  }

  /** Show what was written: one append. */
  flush() {
    this.#show(false);
  }

  /** No more comes: what is still open is text. */
  end() {
    this.#show(true);
  }

  /** @param {boolean} final */
  #show(final) {
    for (const node of this.#tail) node.remove();
    this.#tail = [];
    if (this.#pending === "") return;
    const { tokens, certain } = tokenize(this.#pending, this.#before, final, 0);
    const cut = final ? tokens.length : tokens.findIndex((token) => token.end > certain);
    const done = cut < 0 ? tokens.length : cut;
    const fragment = document.createDocumentFragment();
    build(fragment, tokens.slice(0, done), false, 0);
    if (done < tokens.length) {
      const kept = fragment.childNodes.length;
      build(fragment, tokens.slice(done), true, 0);
      this.#tail = [...fragment.childNodes].slice(kept);
    }
    const used = done === 0 ? 0 : tokens[done - 1].end;
    if (used > 0) {
      this.#before = lastCharacter(this.#pending.slice(Math.max(0, used - 2), used));
      this.#pending = this.#pending.slice(used);
    }
    this.#element.append(fragment);
  }
}

/**
 * Append the nodes of a whole text.
 * @param {Node} parent
 * @param {string} text
 */
export function writeInline(parent, text, depth = 0) {
  build(parent, tokenize(text, "", true, depth).tokens, false, depth);
}

/**
 * @param {Node} parent
 * @param {Token[]} tokens
 * @param {boolean} hopeful  show what is open as if it were closed at the end
 * @param {number} depth  of links around it
 */
function build(parent, tokens, hopeful, depth) {
  let into = parent;
  let text = "";
  const flush = () => {
    if (text !== "") into.appendChild(document.createTextNode(text));
    text = "";
  };
  /** @param {string} tag */
  const open = (tag) => {
    flush();
    into = into.appendChild(document.createElement(tag));
  };
  for (const token of tokens) {
    const node = element(token, depth);
    if (node) {
      flush();
      into.appendChild(node);
    } else if (token.delimiter) {
      for (const { opening } of token.marks ?? []) {
        if (opening) continue;
        flush();
        into = /** @type {Node} */ (into.parentNode);
      }
      if (token.count && hopeful && token.opens) {
        if (token.delimiter === "~") open("s");
        else for (let left = token.count; left > 0; left -= 2) open(left > 1 ? "strong" : "em");
      } else text += token.delimiter.repeat(token.count ?? 0);
      for (const { tag, opening } of token.marks ?? []) if (opening) open(tag);
    } else text += token.text;
  }
  flush();
}

/**
 * @param {Token} token
 * @param {number} depth
 */
function element({ code, br, link: found }, depth) {
  if (br) return document.createElement("br");
  if (code !== undefined) {
    const element = document.createElement("code");
    element.textContent = code;
    return element;
  }
  if (!found) return null;
  const { address, label, image, plain } = found;
  const anchor = link(address);
  if (plain) anchor.append(label);
  else writeInline(anchor, label || (image ? "" : address), depth + 1);
  if (image) {
    anchor.className = "image";
    if (label === "") anchor.append(address);
  }
  return anchor;
}
