/** One tab at a time. */

/**
 * Do something while no other tab does. Where the browser has no locks (a page without HTTPS), every tab does it.
 * @param {string} name
 * @param {AbortSignal} signal
 * @param {() => Promise<void>} work
 */
export async function exclusively(name, signal, work) {
  const began = { work: false };
  try {
    await navigator.locks.request(name, { signal }, () => {
      began.work = true;
      return work();
    });
  } catch (error) {
    if (began.work || signal.aborted) throw error;
    await work();
  }
}
