/** What a tab remembers of itself when it is reloaded; nothing, where the browser forbids it. */

/**
 * @param {string} scope
 * @param {string} name
 */
export function remembered(scope, name) {
  try {
    return sessionStorage.getItem(scope + name) ?? "";
  } catch {
    return "";
  }
}

/**
 * @param {string} scope
 * @param {string} name
 * @param {string} value
 */
export function remember(scope, name, value) {
  try {
    sessionStorage.setItem(scope + name, value);
  } catch {
    // It lasts as long as the page.
  }
}
