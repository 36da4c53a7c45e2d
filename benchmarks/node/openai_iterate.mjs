import { main, MESSAGES, MODEL } from "./contender.mjs";

await main(["openai"], ({ OpenAI }) => (baseURL) => {
  const client = new OpenAI({ baseURL, apiKey: "benchmark", maxRetries: 0 });
  return async () => {
    const pieces = [];
    const stream = await client.chat.completions.create({
      model: MODEL,
      messages: MESSAGES,
      stream: true,
      stream_options: { include_usage: true },
    });
    for await (const chunk of stream) {
      const text = chunk.choices[0]?.delta?.content;
      if (text) pieces.push(text);
    }
    return pieces;
  };
});
