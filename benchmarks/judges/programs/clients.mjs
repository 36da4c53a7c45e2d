// Clients written for node, one job a line: `node clients.mjs FOLDER`, the clients being in FOLDER/node_modules.
// A line of standard input is {"jobs": [{client, base_url, model, …}]}, the answer {"reports": […]}; see python_clients.py.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { readEvents } from "./read_events.mjs";

const require = createRequire(pathToFileURL(process.argv[2] + "/"));
const load = (name) => require(name);
const KEY = "sk-test";
const messages = [{ role: "user", content: "hi" }];

const told = (error) => ({
  type: error.constructor.name,
  status: error.status ?? error.statusCode ?? null,
  message: String(error.error?.message ?? error.message),
  code: error.error?.code ?? error.code ?? null,
  error_type: error.error?.type ?? error.type ?? null,
  retry_after: error.headers?.get?.("retry-after") ?? error.responseHeaders?.["retry-after"] ?? null,
});

const asked = (job) => ({
  model: job.model, messages, stream: true, ...(job.usage === false ? {} : { stream_options: { include_usage: true } }),
});

const clients = {
  async openai(job) {
    const { OpenAI } = load("openai");
    const client = new OpenAI({ baseURL: job.base_url, apiKey: KEY, maxRetries: 0, timeout: 30_000 });
    const chunks = [];
    try {
      if (job.whole) return { whole: await client.chat.completions.create({ model: job.model, messages }) };
      for await (const chunk of await client.chat.completions.create(asked(job))) chunks.push(chunk);
    } catch (error) {
      return { chunks, error: told(error) };
    }
    return { chunks };
  },

  async parser(job) {
    const { createParser } = load("eventsource-parser");
    const report = { events: [], comments: 0, problems: [] };
    const parser = createParser({
      onEvent: ({ event, id, data }) => report.events.push({ event: event ?? "message", id: id ?? null, data }),
      onComment: () => { report.comments += 1; },
      onError: (error) => report.problems.push(String(error)),
    });
    try {
      const response = await fetch(job.base_url + (job.path ?? "/chat/completions"), {
        method: "POST",
        headers: { "content-type": "application/json", accept: "text/event-stream", authorization: `Bearer ${KEY}` },
        body: JSON.stringify(asked(job)),
      });
      if (!response.ok) {
        const { error } = await response.json();
        return { ...report, error: { type: "status", status: response.status, retry_after: response.headers.get("retry-after"), ...error } };
      }
      // A program that has something else to do before it reads on.
      for (const until = Date.now() + (job.busy ?? 0); Date.now() < until;);
      const decoder = new TextDecoder();
      for await (const bytes of response.body) parser.feed(decoder.decode(bytes, { stream: true }));
    } catch (error) {
      return { ...report, error: told(error) };
    }
    return report;
  },

  async eventsource(job) {
    const { EventSource } = load("eventsource");
    return await readEvents(EventSource, job.base_url, job);
  },

  async "ai-sdk"(job) {
    const { streamText } = load("ai");
    const { createOpenAICompatible } = load("@ai-sdk/openai-compatible");
    const provider = createOpenAICompatible({ name: "judged", baseURL: job.base_url, apiKey: KEY, includeUsage: true });
    const report = { text: "", reasoning: "", tool_calls: [], error: null };
    try {
      const result = streamText({ model: provider(job.model), prompt: "hi", maxRetries: 0, onError: () => {} });
      for await (const part of result.fullStream) {
        if (part.type === "text-delta") report.text += part.text;
        else if (part.type === "reasoning-delta") report.reasoning += part.text;
        else if (part.type === "tool-call") report.tool_calls.push([part.toolName, JSON.stringify(part.input), part.toolCallId]);
        // After an error it adds a finish of its own, if the body goes on to its end.
        else if (part.type === "finish" && part.finishReason !== "error") Object.assign(report, { finish_reason: part.finishReason, usage: part.totalUsage });
        else if (part.type === "error") report.error ??= told(part.error);
      }
    } catch (error) {
      report.error ??= told(error);
    }
    return report;
  },
};

const LIMIT = 64;
async function all(jobs) {
  const reports = [];
  let next = 0;
  const worker = async () => {
    while (next < jobs.length) {
      const place = next++;
      reports[place] = await clients[jobs[place].client](jobs[place]);
    }
  };
  await Promise.all(Array.from({ length: LIMIT }, worker));
  return reports;
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify({ reports: await all(JSON.parse(line).jobs) }) + "\n");
}
process.exit(0);
