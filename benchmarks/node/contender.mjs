// One contender in a process of its own: the same JSON lines, and the same rules, as ../contender.py.
// Packages are looked for in the working directory's node_modules, so that nothing is installed in the checkout.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const require = createRequire(join(process.cwd(), "package.json"));

export const MODEL = "gpt-4.1-mini";
export const MESSAGES = [{ role: "user", content: "Write a poem" }];

const say = (message) => process.stdout.write(JSON.stringify(message) + "\n");

// `open(modules)` returns a function from a base URL to a function that reads one feed and returns its text in pieces.
export async function main(packages, open) {
  const modules = [];
  const versions = {};
  for (const name of packages) {
    try {
      modules.push(await import(pathToFileURL(require.resolve(name)).href));
    } catch (error) {
      if (error.code !== "MODULE_NOT_FOUND") throw error;
      say({ missing: name });
      return;
    }
    const manifest = join(process.cwd(), "node_modules", name, "package.json");
    versions[`npm:${name}`] = JSON.parse(readFileSync(manifest, "utf8")).version;
  }
  versions.node = process.versions.node;
  say({ versions });

  const make = open(...modules);
  const readers = new Map();
  for await (const line of createInterface({ input: process.stdin })) {
    const { base_url } = JSON.parse(line);
    if (!readers.has(base_url)) readers.set(base_url, make(base_url));
    globalThis.gc(); // node runs with --expose-gc: every run starts with a full collection, as in Python
    const started = process.cpuUsage();
    const pieces = await readers.get(base_url)();
    const { user, system } = process.cpuUsage(started);
    say({ cpu: (user + system) / 1e6, text: pieces.join(""), reads: null });
  }
}
