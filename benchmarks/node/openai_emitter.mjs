import { main, MESSAGES, MODEL } from "./contender.mjs";

await main(["openai"], ({ OpenAI }) => (baseURL) => {
  const client = new OpenAI({ baseURL, apiKey: "benchmark", maxRetries: 0 });
  return async () => {
    const pieces = [];
    const stream = client.chat.completions.stream({
      model: MODEL,
      messages: MESSAGES,
      stream_options: { include_usage: true },
    });
    stream.on("content", (text) => pieces.push(text));
    await stream.done();
    return pieces;
  };
});
