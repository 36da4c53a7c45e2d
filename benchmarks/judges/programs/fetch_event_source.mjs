// Reads a stream of the relay's own protocol with @microsoft/fetch-event-source, which the page has at /files/index.

/**
 * @param {string} base where the relay is
 * @param {{model: string}} job
 */
export async function readWithFetch(base, job) {
  const { fetchEventSource } = await import(`${base}/files/index`);
  const report = { events: [], opened: 0, errors: 0 };
  class Refused extends Error {}
  try {
    await fetchEventSource(`${base}/streams`, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "text/event-stream" },
      body: JSON.stringify({ model: job.model, messages: [{ role: "user", content: "hi" }] }),
      openWhenHidden: true,
      async onopen(response) {
        if (response.status === 204) throw new Refused("over");
        if (!response.ok) {
          const { error } = await response.json();
          report.error = { type: "status", status: response.status, retry_after: response.headers.get("retry-after"), ...error };
          throw new Refused(error.message);
        }
        report.opened += 1;
      },
      onmessage({ event, id, data }) {
        report.events.push({ event: event || "message", id, data });
      },
      onclose() { throw new Refused("closed"); },
      onerror(error) {
        report.errors += 1;
        if (error instanceof Refused || report.events.at(-1)?.event === "end") throw error;  // else it asks again
      },
    });
  } catch (error) {
    if (!(error instanceof Refused) && report.events.at(-1)?.event !== "end") report.error ??= { message: String(error) };
  }
  return report;
}
