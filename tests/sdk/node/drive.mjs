// Calls every OpenAI endpoint of the server in REALMS_URL and prints, as JSON, which it called and what came.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const found = createRequire(`${process.env.SDK_FOLDER}/package.json`).resolve("openai");
const { default: OpenAI } = await import(pathToFileURL(found).href);

const called = [];
const told = {};
const client = new OpenAI({
  baseURL: `${process.env.REALMS_URL}/v1`,
  apiKey: process.env.REALMS_TOKEN,
  maxRetries: 0,
  fetch: (url, options) => {
    called.push([options.method.toUpperCase(), new URL(url).pathname]);
    return fetch(url, options);
  },
});

const model = "sim-1";
const input = "hello";
const messages = [{ role: "user", content: input }];
const gather = async (iterable) => {
  const all = [];
  for await (const each of iterable) all.push(each);
  return all;
};
const refusal = async (promise) => {
  try {
    await promise;
  } catch (error) {
    return [error.constructor.name, error.status, error.code ?? null, Boolean(error.requestID)];
  }
  return null;
};

async function responses() {
  const made = await client.responses.create({ model, input });
  told.response = made.output_text;
  told.requestId = Boolean(made._request_id);
  told.retrieved = (await client.responses.retrieve(made.id)).id === made.id;
  told.inputItems = (await gather(client.responses.inputItems.list(made.id))).map((item) => item.content[0].text);
  const events = await gather(await client.responses.create({ model, input, stream: true }));
  told.stream = [events[0].type, events.at(-1).type];
  const replay = { stream: true, starting_after: 3 };
  const rest = await gather(await client.responses.retrieve(events[0].response.id, replay));
  told.replay = rest[0].sequence_number;
  const slow = await client.responses.create({ model: "sim-1+background=30", input, background: true });
  told.cancelled = (await client.responses.cancel(slow.id)).status;
  told.compacted = (await client.responses.compact({ model, input: messages })).output.at(-1).type;
  told.counted = (await client.responses.inputTokens.count({ model, input })).input_tokens > 0;
  await client.responses.delete(made.id);
  told.deleted = await refusal(client.responses.retrieve(made.id));
}

async function conversations() {
  const items = [{ type: "message", role: "user", content: "first" }];
  const made = await client.conversations.create({ items, metadata: { topic: "tests" } });
  const place = { conversation_id: made.id };
  told.conversation = (await client.conversations.retrieve(made.id)).metadata.topic;
  told.conversationUpdated = (await client.conversations.update(made.id, { metadata: { topic: "other" } })).metadata.topic;
  await client.conversations.items.create(made.id, { items: [{ ...items[0], content: "second" }] });
  const listed = await gather(client.conversations.items.list(made.id, { order: "asc" }));
  told.items = listed.map((item) => item.content[0].text);
  told.item = (await client.conversations.items.retrieve(listed[0].id, place)).content[0].text;
  await client.conversations.items.delete(listed[0].id, place);
  told.itemsLeft = (await gather(client.conversations.items.list(made.id))).length;
  told.conversationDeleted = (await client.conversations.delete(made.id)).deleted;
}

async function chat() {
  const { completions } = client.chat;
  const made = await completions.create({ model, messages, store: true });
  told.chat = made.choices[0].message.content;
  const chunks = await gather(await completions.create({ model, messages, stream: true }));
  told.chatStream = chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join("");
  const tools = [{ type: "function", function: { name: "weather", parameters: {} } }];
  const asks = [{ role: "user", content: '[[tool:weather {"city":"Bern"}]]' }];
  told.tool = (await completions.create({ model, messages: asks, tools })).choices[0].message.tool_calls[0].function;
  told.chatListed = (await completions.list({ limit: 1, order: "desc" })).data[0].id === made.id;
  told.chatRetrieved = (await completions.retrieve(made.id)).id === made.id;
  told.chatUpdated = (await completions.update(made.id, { metadata: { color: "blue" } })).metadata.color;
  told.chatMessages = (await gather(completions.messages.list(made.id))).map((each) => each.content);
  told.chatDeleted = (await completions.delete(made.id)).deleted;
}

async function modelsAndErrors() {
  told.models = (await gather(client.models.list())).map((each) => each.id).includes("renamed");
  told.model = (await client.models.retrieve("renamed")).id;
  const stranger = client.withOptions({ apiKey: `sk_${"x".repeat(43)}` });
  told.errors = {
    401: await refusal(stranger.responses.create({ model, input })),
    404: await refusal(client.responses.create({ model: "nowhere", input })),
    400: await refusal(client.responses.create({ model, input, previous_response_id: "resp_0123456789abcdef" })),
    429: await refusal(client.responses.create({ model: "sim-1+status=429", input })),
    502: await refusal(client.responses.create({ model: "sim-1+status=500", input })),
  };
}

await responses();
await conversations();
await chat();
await modelsAndErrors();
console.log(JSON.stringify({ called, told }));
