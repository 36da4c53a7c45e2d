/**
 * Markdown as models write it, to nodes, line by line while it streams. A finished line is never touched again.
 *
 * Known: paragraphs, headings (`#`), lists and tasks, quotes, fenced code, tables, rules; inside them what inline.js knows.
 * Everything else (HTML, indented code, underlined headings, footnotes) is text, shown as it was written. A single line break
 * is a line break.
 */

import { CodeBlock } from "./code-block.js";
import { block } from "./dom.js";
import { InlineWriter } from "./inline.js";
import { cells, table, tableRow } from "./table.js";

const MAX_DEPTH = 12; // of lists and quotes: more is text
const FENCE = /^(`{3,}(?!.*`)|~{3,})(.*)$/;
const RULE = /^([-*_])(?:\s*\1){2,}\s*$/;
const BULLET = /^([-+*])( +|$)/;
const NUMBER = /^(\d{1,9})[.)]( +|$)/;
const HEADING = /^(#{1,6})(?: +|$)/;
// The beginning of a line that may still become one of these.
const UNDECIDED = /^(?:#{1,6}|`{1,2}|~{1,2}|[-*_](?:\s*[-*_])*|\+|\d{1,9}[.)]?|)\s*$/;
const WHOLE_LINE = /^(?:\||`{3}|~{3})/; // judged when it ends

/**
 * @typedef {object} Container  a quote or an item that lines are inside of
 * @property {HTMLElement} element
 * @property {number} indent  columns that a line of an item is indented by; 0: a quote
 * @property {boolean} used   whether it has something in it
 */

export class Markdown {
  #root;
  #stack = /** @type {Container[]} */ ([]);
  #inline = /** @type {InlineWriter | null} */ (null); // the open paragraph
  #code = /** @type {CodeBlock | null} */ (null);
  #table = /** @type {{body: HTMLElement, sides: string[]} | null} */ (null);
  #row = /** @type {string | null} */ (null); // a line that may be the head of a table
  #heading = false; // the open paragraph is one, and ends with its line
  #mode = /** @type {"start" | "whole" | "text"} */ ("start"); // how the rest of this line is read
  #head = ""; // what of this line has no place yet

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
  }

  /**
   * Take more of the text, split anywhere. It is shown by the next `flush`.
   * @param {string} text
   */
  write(text) {
    const clean = text.replaceAll("\r", "");
    for (let at = 0; at < clean.length; ) {
      const newline = clean.indexOf("\n", at);
      const end = newline < 0 ? clean.length : newline;
      if (end > at) this.#take(clean.slice(at, end));
      if (newline >= 0) this.#endLine();
      at = end + 1;
    }
  }

  flush() {
    this.#inline?.flush();
    this.#code?.flush();
  }

  /** No more comes: what is still open is what it is. */
  end() {
    if (this.#mode !== "text" && this.#head !== "") this.#decide(true);
    this.#closeBlock();
    this.#code?.flush();
  }

  /** @param {string} part  of a line */
  #take(part) {
    if (this.#mode !== "text") {
      this.#head += part;
      if (this.#mode === "start") this.#decide(false);
    } else if (this.#code) this.#code.write(part);
    else this.#inline?.write(part);
  }

  #endLine() {
    const code = this.#code;
    if (this.#mode !== "text") this.#decide(true);
    if (code && code === this.#code) code.write("\n"); // not of the line that began or ended it
    if (this.#heading) this.#closeBlock();
    this.#mode = "start";
    this.#head = "";
  }

  /**
   * Give the line its place, as soon as it is certain which.
   * @param {boolean} whole  whether `#head` is all of it
   */
  #decide(whole) {
    let place = this.#code ? this.#code.take(this.#head, whole) : "outside";
    if (place === "end" || place === "outside") {
      this.#code?.flush();
      this.#code = null;
    }
    if (place === "outside") place = this.#decideBlock(this.#head, whole) ? "inside" : "early";
    if (place !== "early") {
      if (!whole) this.#mode = "text";
      this.#head = "";
    }
  }

  /**
   * @param {string} line
   * @param {boolean} whole
   * @returns {boolean}  whether its place is found
   */
  #decideBlock(line, whole) {
    let rest = line.includes("\t") ? line.replace(/^[ \t]+/, (blank) => blank.replaceAll("\t", "    ")) : line;
    // Which of the open quotes and items the line belongs to.
    let depth = 0;
    for (const { indent } of this.#stack) {
      if (indent === 0) {
        const mark = /^ {0,3}> ?/.exec(rest);
        if (!mark) break;
        rest = rest.slice(mark[0].length);
      } else {
        const blank = rest.length - rest.trimStart().length;
        if (blank < rest.length && blank < indent) {
          // Models indent the items of an inner list by two, whatever the outer one has.
          if (blank < 2 || !/^(?:[-+*]|\d{1,9}[.)]) /.test(rest.trimStart())) break;
        }
        rest = rest.slice(Math.min(blank, indent));
      }
      depth++;
    }
    const body = rest.trimStart();
    if (!whole && this.#early(body)) return false;
    if (body === "") {
      this.#closeBlock();
      const quote = this.#stack.findIndex((container, index) => index >= depth && container.indent === 0);
      if (quote >= 0) this.#stack.length = quote;
      return true;
    }
    if (this.#row !== null && !(body[0] === "|" && depth === this.#stack.length)) this.#releaseRow();
    if (this.#table && !(body[0] === "|" && depth === this.#stack.length)) this.#table = null;
    const marks = body[0] === ">" || FENCE.test(body) || RULE.test(body) || HEADING.test(body) || this.#item(body, depth);
    if (!marks && this.#inline && (depth < this.#stack.length || body[0] !== "|")) {
      this.#inline.write(`\n${body}`); // also where it is not indented as its paragraph is
      return true;
    }
    if (depth < this.#stack.length) {
      this.#closeBlock();
      this.#stack.length = depth;
    }
    return this.#block(body, rest.length - body.length, whole);
  }

  /**
   * The item that a line begins, or null.
   * @param {string} body
   * @param {number} depth
   */
  #item(body, depth) {
    const found = BULLET.exec(body) ?? NUMBER.exec(body);
    if (found === null || RULE.test(body)) return null;
    // In a paragraph, "1986. A year" begins no list: https://spec.commonmark.org/0.31.2/#list-items
    const inside = this.#inline !== null && depth === this.#stack.length;
    if (inside && (found[2] === "" || (/\d/.test(found[1]) && found[1] !== "1"))) return null;
    return { ordered: /\d/.test(found[1]), start: found[1], size: found[0].length, blank: found[2].length };
  }

  /**
   * Begin a block with what is left of a line after its containers.
   * @param {string} body
   * @param {number} indent
   * @param {boolean} whole
   * @returns {boolean}
   */
  #block(body, indent, whole) {
    const fence = FENCE.exec(body);
    if (fence && whole) {
      this.#closeBlock();
      const quotes = this.#stack.filter((container) => container.indent === 0).length;
      const inner = this.#stack.reduce((sum, container) => sum + container.indent, indent);
      this.#code = new CodeBlock(fence[1], fence[2].trim(), inner, quotes);
      this.#parent().append(this.#code.element);
      return true;
    }
    if (RULE.test(body) && whole) {
      this.#closeBlock();
      this.#parent().append(document.createElement("hr"));
      return true;
    }
    const heading = HEADING.exec(body);
    if (heading) {
      this.#closeBlock();
      // The page has its own h1 and h2; an answer's headings are below them.
      const level = Math.min(6, heading[1].length + 2);
      const element = block(/** @type {"h3"} */ (`h${level}`));
      this.#parent().append(element);
      (this.#inline = new InlineWriter(element)).write(body.slice(heading[0].length));
      this.#heading = true;
      return true;
    }
    if (this.#stack.length < MAX_DEPTH) {
      if (body[0] === ">") {
        if (body === ">" && !whole) return this.#wait(" ".repeat(indent) + body); // a blank after it is its own
        this.#closeBlock();
        const element = block("blockquote");
        this.#parent().append(element);
        this.#stack.push({ element, indent: 0, used: false });
        return this.#inner(body.replace(/^> ?/, ""), whole);
      }
      const item = this.#item(body, this.#stack.length);
      if (item) {
        let content = body.slice(item.size);
        // Before the item is there: whether it is a task is said once, at its beginning.
        if (!whole && /^\[[ xX]?\]?$/.test(content)) return this.#wait(" ".repeat(indent) + body);
        this.#closeBlock();
        const element = document.createElement("li"); // its list has the direction: that of its first letters
        this.#list(item).append(element);
        const inner = item.blank > 4 || item.blank === 0 ? item.size - item.blank + 1 : item.size;
        this.#stack.push({ element, indent: indent + inner, used: false });
        const task = /^\[([ xX])\] /.exec(content);
        if (task) {
          const box = document.createElement("span");
          box.className = "task";
          box.textContent = task[1] === " " ? "\u2610 " : "\u2611 ";
          element.append(box);
          content = content.slice(4);
        }
        return this.#inner(content, whole);
      }
    }
    if (body[0] === "|" && whole && this.#tableLine(body)) return true;
    this.#paragraph(body);
    return true;
  }

  /** Keep back what has no place yet, now that its containers are open. @param {string} rest */
  #wait(rest) {
    const prefix = this.#stack.map(({ indent }) => (indent === 0 ? "> " : " ".repeat(indent))).join("");
    this.#head = prefix + rest;
    return false;
  }

  /**
   * What stands behind a mark, on the same line.
   * @param {string} rest
   * @param {boolean} whole
   */
  #inner(rest, whole) {
    const body = rest.trimStart();
    if (body === "" && whole) return true;
    if (!whole && this.#early(body)) return this.#wait(rest);
    return this.#block(body, rest.length - body.length, whole);
  }

  /**
   * Whether it is too early to say what a line is that begins like this.
   * @param {string} body
   */
  #early(body) {
    const whole = WHOLE_LINE.test(body);
    if (!whole && !UNDECIDED.test(body)) return false;
    if (whole || body.length > 100) this.#mode = "whole"; // a long run of one character is not looked at again either
    return true;
  }

  /** @param {string} text */
  #paragraph(text) {
    if (this.#inline) {
      this.#inline.write(`\n${text}`);
      return;
    }
    const container = this.#stack.at(-1);
    let element = this.#root;
    if (container && container.indent > 0 && !container.used) element = container.element;
    else {
      element = container ? document.createElement("p") : block("p");
      this.#parent().append(element);
    }
    if (container) container.used = true;
    (this.#inline = new InlineWriter(element)).write(text);
  }

  /** The element that the next block goes into. */
  #parent() {
    const container = this.#stack.at(-1);
    if (!container) return this.#root;
    container.used = true;
    return container.element;
  }

  /**
   * The list that an item goes on with, or a new one.
   * @param {{ordered: boolean, start: string}} item
   */
  #list({ ordered, start }) {
    const parent = this.#parent();
    const last = /** @type {HTMLElement | null} */ (parent.lastElementChild);
    if (last?.localName === (ordered ? "ol" : "ul") && last === parent.lastChild) return last;
    const list = block(ordered ? "ol" : "ul");
    if (ordered && Number(start) !== 1) /** @type {HTMLOListElement} */ (list).start = Number(start);
    parent.append(list);
    return list;
  }

  /**
   * A line that begins with a bar: a row, or what may become the head of a table.
   * @param {string} line
   * @returns {boolean}  false: it is text
   */
  #tableLine(line) {
    if (this.#table) {
      const row = tableRow(line, "td", this.#table.sides);
      this.#table.body.append(row);
      return true;
    }
    if (this.#row !== null) {
      const head = this.#row;
      const rules = cells(line);
      if (rules.length !== cells(head).length || !rules.every((cell) => /^:?-+:?$/.test(cell))) {
        this.#releaseRow();
        return false;
      }
      this.#row = null;
      this.#closeBlock();
      const { element, body, sides } = table(head, rules);
      this.#table = { body, sides };
      this.#parent().append(element);
      return true;
    }
    this.#row = line;
    return true;
  }

  #releaseRow() {
    const row = this.#row;
    this.#row = null;
    if (row !== null) this.#paragraph(row);
  }

  /** End the open paragraph, heading or table. */
  #closeBlock() {
    this.#releaseRow();
    this.#inline?.end();
    this.#inline = null;
    this.#heading = false;
    this.#table = null;
  }
}
