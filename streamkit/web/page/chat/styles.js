/** The component's style sheets: constructed, so that no policy of a page has to allow them. */

import { FRAME } from "./frame-style.js";
import { MESSAGES } from "./message-style.js";

export const styles = [FRAME, MESSAGES].map((text) => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(text);
  return sheet;
});
