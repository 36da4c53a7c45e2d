// openai-node's .stream() in a process of its own: the same JSON lines, and the same rules, as client.py.
// The package is looked for in the working directory's node_modules, so that nothing is installed in the checkout.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const require = createRequire(join(process.cwd(), "package.json"));
const say = (message) => process.stdout.write(JSON.stringify(message) + "\n");

// As seen.py.
function shortened(text) {
  const characters = [...text];
  if (characters.length <= 400) return text;
  const digest = createHash("sha256").update(text).digest("hex");
  const length = characters.length.toLocaleString("en-US");
  return `${characters.slice(0, 20).join("")}… (${length} characters, sha256 ${digest.slice(0, 6)}…)`;
}

let OpenAI, OpenAIError;
try {
  ({ OpenAI, OpenAIError } = await import(pathToFileURL(require.resolve("openai")).href));
} catch (error) {
  if (error.code !== "MODULE_NOT_FOUND") throw error;
  say({ missing: "openai" });
  process.exit();
}
const manifest = join(process.cwd(), "node_modules", "openai", "package.json");
const { version } = JSON.parse(readFileSync(manifest, "utf8"));
say({ versions: { "npm:openai": version, node: process.versions.node } });

let unhandled = null;
process.on("unhandledRejection", (error) => (unhandled = error));

const counts = (usage) => usage && [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens];

function ended(seen, completion) {
  seen.choices = {};
  for (const { index, message, finish_reason } of completion.choices)
    seen.choices[index] = [message.content ?? "", finish_reason];
  [seen.text, seen.finish_reason] = seen.choices[0];
  const { tool_calls, function_call } = completion.choices.find(({ index }) => index === 0).message;
  const functions = (tool_calls ?? []).map((call) => call.function).concat(function_call ?? []);
  seen.tool_calls = functions.map((call) => [String(call.name), String(call.arguments)]);
  seen.usage = counts(completion.usage) ?? null;
}

async function read(client, play, seen) {
  const stream = client.chat.completions.stream({
    model: "gpt-4.1-mini",
    messages: [{ role: "user", content: "hi" }],
    stream_options: { include_usage: true },
  });
  stream.on("content", (text) => (seen.text += text));
  stream.on("refusal.delta", ({ delta }) => (seen.refusal += delta));
  stream.on("error", () => {});
  let pause = play.pause * 1000;
  if (pause)
    // The emitter waits for nobody; who iterates beside it may be busy. Leaving the loop would abort the stream.
    for await (const chunk of stream)
      if (chunk.choices[0]?.delta?.content && pause) {
        await new Promise((resolve) => setTimeout(resolve, pause));
        pause = 0;
      }
  ended(seen, await stream.finalChatCompletion());
}

function note(seen, error) {
  seen.ending = error instanceof OpenAIError ? "error" : "crash";
  const message = `${error?.message ?? error} ${error?.error ? JSON.stringify(error.error) : ""}`.trim();
  seen.error = { class: error?.constructor?.name ?? typeof error, message };
}

// The longest time that the loop's other tasks waited, in processor time.
function watch() {
  let longest = 0;
  let last = process.cpuUsage();
  let running = true;
  const tick = () => {
    const { user, system } = process.cpuUsage(last);
    longest = Math.max(longest, (user + system) / 1e6);
    last = process.cpuUsage();
    if (running) setImmediate(tick);
  };
  setImmediate(tick);
  return () => ((running = false), longest);
}

for await (const line of createInterface({ input: process.stdin })) {
  const play = JSON.parse(line);
  const timeout = play.timeout ? play.timeout * 1000 : 600_000;
  const client = new OpenAI({ baseURL: play.base_url, apiKey: "sk-a-key-of-no-account", maxRetries: 0, timeout });
  const seen = { ending: "done", text: "", refusal: "" };
  unhandled = null;
  let timer;
  const hang = new Promise((resolve) => (timer = setTimeout(() => resolve("hang"), play.patience * 1000)));
  const stop = play.blocked ? watch() : null;
  try {
    if (play.warm) await read(client, play, { text: "", refusal: "" });
    if ((await Promise.race([read(client, play, seen), hang])) === "hang") seen.ending = "hang";
  } catch (error) {
    note(seen, error);
  }
  clearTimeout(timer);
  await new Promise((resolve) => setImmediate(resolve));
  if (unhandled && seen.ending === "done") note(seen, unhandled);
  delete seen.blocked;
  if (stop) seen.blocked = stop();
  seen.text = shortened(seen.text);
  for (const choice of Object.values(seen.choices ?? {})) choice[0] = shortened(choice[0]);
  say(seen);
}
