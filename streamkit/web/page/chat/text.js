/** Plain characters, streamed into an element whose style keeps line breaks. */

/** After so many characters, the next line starts a new block: a browser lays a block out anew whenever something is added to it. */
const BLOCK = 4000;

export class TextWriter {
  #element;
  #block;
  #size = 0;
  #pending = "";

  /** @param {HTMLElement} element */
  constructor(element) {
    this.#element = this.#block = element;
  }

  /** @param {string} text */
  write(text) {
    this.#pending += text;
  }

  /** Show what was written. */
  flush() {
    let rest = this.#pending;
    this.#pending = "";
    while (rest !== "") {
      const room = Math.max(0, BLOCK - this.#size);
      const line = rest.length > room ? rest.indexOf("\n", room) : -1;
      const part = line < 0 ? rest : rest.slice(0, line + 1);
      this.#block.append(part);
      this.#size += part.length;
      rest = rest.slice(part.length);
      if (line >= 0) {
        this.#block = document.createElement("span");
        this.#block.className = "block";
        this.#size = 0;
        this.#element.append(this.#block);
      }
    }
  }
}
