/** Elements without HTML strings: nothing here is ever parsed. */

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} [properties]  `on…` are listeners, names with a dash (and `role`, `part`, `for`) are attributes
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.includes("-") || name === "role" || name === "part" || name === "for") element.setAttribute(name, value);
    else /** @type {any} */ (element)[name] = value;
  }
  element.append(...children);
  return element;
}

/**
 * A block of text of whichever language: its own first letters say from where to where it is read.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 */
export function block(tag) {
  return h(tag, { dir: "auto" });
}

/** Lines of a square of 24, drawn as strokes. */
const ICONS = {
  menu: "M4 7h16M4 12h16M4 17h16",
  new: "M12 5v14M5 12h14",
  send: "M12 19V5M6 11l6-6 6 6",
  stop: "M7 7h10v10H7z",
  delete: "M5 7h14M10 11v6M14 11v6M7 7l1 12h8l1-12M9.5 7V4h5v3",
  latest: "M12 5v14M6 13l6 6 6-6",
};

/** @param {keyof typeof ICONS} name */
export function icon(name) {
  const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  drawing.setAttribute("viewBox", "0 0 24 24");
  drawing.setAttribute("aria-hidden", "true");
  drawing.classList.add("icon", `icon-${name}`);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  drawing.append(path);
  return drawing;
}

/**
 * Put a text on the clipboard; false where the browser does not let us (no HTTPS, no permission).
 * @param {string} text
 */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // The older way works without a secure context.
    const field = h("textarea", { value: text, className: "offscreen", readOnly: true });
    const focused = document.activeElement;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    if (focused instanceof HTMLElement) focused.focus();
    return done;
  }
}

/**
 * Buttons that say what they are for by `data-action`; whoever holds them listens.
 * @param {{label: string, action: string}[]} actions
 */
export function actionButtons(actions) {
  return actions.map(({ label, action }) => {
    const button = h("button", { type: "button", className: "quiet", part: "button" }, label);
    button.dataset.action = action;
    return button;
  });
}

/**
 * Make a field as high as its text, up to a limit.
 * @param {HTMLTextAreaElement} field
 */
export function fit(field) {
  if (CSS.supports("field-sizing", "content")) return; // the style sheet does it
  field.style.blockSize = "auto";
  const line = Number.parseFloat(getComputedStyle(field).lineHeight) || 24;
  field.style.blockSize = `${Math.min(field.scrollHeight, line * 10)}px`;
}
