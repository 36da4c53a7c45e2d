/**
 * Keeps the end of what grows in view, as long as the reader is there: who scrolls up is left alone until they come back.
 */

/** How near to the end counts as there, in px: lines are not whole pixels. */
const NEAR = 24;

export class Autoscroll {
  #scroller;
  #told;
  #top = 0;
  #held = false; // a finger or a mouse button is down: scrolling now would pull the text from under a selection

  /** Whether the reader is at the end. */
  following = true;

  /**
   * @param {HTMLElement} scroller
   * @param {(following: boolean) => void} told  when that changes
   */
  constructor(scroller, told) {
    this.#scroller = scroller;
    this.#told = told;
    scroller.addEventListener("scroll", () => this.#moved(), { passive: true });
    // What turns the wheel up means it, even where the end is so near that the page would follow.
    scroller.addEventListener("wheel", (event) => event.deltaY < 0 && this.#scrolls() && this.#set(false), { passive: true });
    scroller.addEventListener("pointerdown", () => (this.#held = true), { passive: true });
    for (const type of ["pointerup", "pointercancel"]) {
      addEventListener(type, () => (this.#held = false), { passive: true });
    }
    new ResizeObserver(() => this.keep()).observe(scroller); // a keyboard slides in, a window is turned
  }

  #scrolls() {
    return this.#scroller.scrollHeight > this.#scroller.clientHeight;
  }

  #moved() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    const up = scrollTop < this.#top - 1;
    this.#top = scrollTop;
    if (scrollHeight - scrollTop - clientHeight <= NEAR) this.#set(true);
    else if (up) this.#set(false);
  }

  /** @param {boolean} following */
  #set(following) {
    if (this.following === following) return;
    this.following = following;
    this.#told(following);
  }

  /** Something has grown. */
  keep() {
    if (!this.following || this.#held) return;
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#top = this.#scroller.scrollTop;
  }

  /** Go to the end and stay there. */
  follow() {
    this.#set(true);
    this.#held = false;
    this.keep();
  }
}
