import { main, MESSAGES, MODEL } from "./contender.mjs";

await main(["ai", "@ai-sdk/openai-compatible"], ({ streamText }, { createOpenAICompatible }) => (baseURL) => {
  const provider = createOpenAICompatible({ name: "benchmark", baseURL, apiKey: "benchmark", includeUsage: true });
  return async () => {
    const pieces = [];
    const { textStream } = streamText({ model: provider(MODEL), messages: MESSAGES, maxRetries: 0 });
    for await (const text of textStream) pieces.push(text);
    return pieces;
  };
});
