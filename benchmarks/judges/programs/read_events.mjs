// Reads a stream of the relay's own protocol with an EventSource, a browser's or a package's: the same code for both.

/**
 * @param {typeof EventSource} Source
 * @param {string} base where the relay is
 * @param {{model: string, path?: string, stay?: boolean}} job path: a stream that has been started; stay: do not close it at the
 *   end, as a page that knows nothing of `end` would, and wait until the server has made it give up
 */
export async function readEvents(Source, base, job) {
  const report = { events: [], opened: 0, errors: 0 };
  let path = job.path;
  if (path === undefined) {
    const body = JSON.stringify({ model: job.model, messages: [{ role: "user", content: "hi" }] });
    const response = await fetch(`${base}/streams`, { method: "POST", headers: { "content-type": "application/json" }, body });
    if (!response.ok) {
      const said = await response.json();
      return { ...report, error: { type: "status", status: response.status, retry_after: response.headers.get("retry-after"), ...said.error } };
    }
    path = (await response.json()).url;
  }
  const source = new Source(base + path);
  const heard = (event) => report.events.push({ event: event.type, id: event.lastEventId, data: event.data });
  source.onopen = () => { report.opened += 1; };
  for (const name of ["message", "gap", "stream-error", "end"]) source.addEventListener(name, heard);
  await new Promise((done) => {
    source.addEventListener("end", () => { if (!job.stay) { source.close(); done(); } });
    source.onerror = (event) => {
      report.errors += 1;
      // What has a text is the server's own event of that name, which the relay has none of.
      if (typeof event.data === "string") report.events.push({ event: "error", id: event.lastEventId, data: event.data });
      if (source.readyState === 2) { report.given_up = true; done(); }
    };
  });
  return report;
}
