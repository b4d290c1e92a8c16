// The official JavaScript clients against a running server: node npm_clients.mjs URL. Models: zero, random (tools).
import assert from "node:assert/strict";
import OpenAI from "openai";
import Anthropic from "@anthropic-ai/sdk";
import { Ollama } from "ollama";

const url = process.argv[2];
const messages = [{ role: "user", content: "37+8*3-5*7=?" }];
const ask = [{ role: "user", content: "What is the weather in Paris?" }];
const weather = {
  type: "object",
  properties: { city: { enum: ["Paris", "Rome"] }, days: { type: "integer", minimum: 1, maximum: 9 } },
  required: ["city", "days"],
  additionalProperties: false,
};

function checkArguments(value) {
  assert.deepEqual(Object.keys(value).sort(), ["city", "days"]);
  assert.ok(["Paris", "Rome"].includes(value.city) && value.days >= 1 && value.days <= 9);
}

async function running(model) {
  const page = await (await fetch(url + "/metrics")).text();
  return Number(page.match(new RegExp(`^ponder_requests_running\\{model_name="${model}"\\} (\\d+)$`, "m"))[1]);
}

async function stopsWorking(model) {
  for (let i = 0; i < 600 && (await running(model)) > 0; ++i) await new Promise((done) => setTimeout(done, 50));
  assert.equal(await running(model), 0);
}

async function openai() {
  const client = new OpenAI({ baseURL: url + "/v1", apiKey: "none", maxRetries: 0 });
  const whole = await client.chat.completions.create({ model: "zero", messages, temperature: 0 });
  assert.equal(whole.choices[0].message.content, "37");
  assert.ok(whole.choices[0].message.reasoning_content.startsWith("37+8=45;"));
  let content = "", thinking = "", usage;
  const stream = await client.chat.completions.create({
    model: "zero", messages, temperature: 0, stream: true, stream_options: { include_usage: true },
  });
  for await (const chunk of stream) {
    usage = chunk.usage ?? usage;
    content += chunk.choices[0]?.delta.content ?? "";
    thinking += chunk.choices[0]?.delta.reasoning_content ?? "";
  }
  assert.equal(content, "37");
  assert.equal(thinking, whole.choices[0].message.reasoning_content);
  assert.deepEqual([usage.prompt_tokens, usage.completion_tokens], [whole.usage.prompt_tokens, whole.usage.completion_tokens]);

  const tools = [{ type: "function", function: { name: "get_weather", parameters: weather, strict: true } }];
  const called = await client.chat.completions.create({
    model: "random", messages: ask, tools, tool_choice: "required", parallel_tool_calls: false, temperature: 1.5, seed: 1, max_tokens: 900,
    enable_thinking: false,
  });
  assert.equal(called.choices[0].finish_reason, "tool_calls");
  const calls = called.choices[0].message.tool_calls;
  assert.equal(calls.length, 1);
  checkArguments(JSON.parse(calls[0].function.arguments));
  const after = [...ask, called.choices[0].message, { role: "tool", tool_call_id: calls[0].id, content: "grey" }];
  const told = await client.chat.completions.create({ model: "random", messages: after, tools, tool_choice: "none", max_tokens: 8 });
  assert.ok(!told.choices[0].message.tool_calls);
  const held = client.chat.completions.stream({
    model: "random", messages: ask, temperature: 1.5, seed: 2, max_tokens: 900, enable_thinking: false,
    response_format: { type: "json_schema", json_schema: { name: "w", strict: true, schema: weather } },
  });
  checkArguments(JSON.parse((await held.finalChatCompletion()).choices[0].message.content));

  const vectors = await client.embeddings.create({ model: "zero", input: ["3+4=?", "9*9=?"] });
  assert.equal(vectors.data.length, 2);
  assert.ok(Math.abs(vectors.data[0].embedding.reduce((sum, x) => sum + x * x, 0) - 1) < 1e-4);
  const response = await client.responses.create({ model: "zero", input: "37+8*3-5*7=?", temperature: 0 });
  assert.equal(response.output_text, "37");
  await assert.rejects(client.chat.completions.create({ model: "none", messages }), OpenAI.NotFoundError);
  await assert.rejects(client.chat.completions.create({ model: "zero", messages, temperature: 9 }), (error) =>
    error instanceof OpenAI.BadRequestError && error.param === "temperature");
  const endless = await client.chat.completions.create({ model: "random", messages: ask, stream: true, ignore_eos: true });
  for await (const chunk of endless) if (chunk.choices[0]?.delta.content) break; // closes it
  await stopsWorking("random");
  await assert.rejects(
    client.chat.completions.create({ model: "random", messages: ask, ignore_eos: true, n: 16, min_tokens: 7000 }, { timeout: 200 }),
    OpenAI.APIConnectionTimeoutError);
  await stopsWorking("random");
  return whole.choices[0].message;
}

async function anthropic(said) {
  const client = new Anthropic({ baseURL: url, apiKey: "none", maxRetries: 0 });
  const asked = { model: "zero", messages, max_tokens: 200, temperature: 0 };
  const whole = await client.messages.create(asked);
  assert.deepEqual(whole.content.map((block) => block.type), ["thinking", "text"]);
  assert.equal(whole.content[0].thinking, said.reasoning_content);
  assert.equal(whole.content[1].text, said.content);
  const stream = client.messages.stream(asked);
  let start;
  stream.on("streamEvent", (event) => { if (event.type === "message_start") start = event.message.usage; });
  const final = await stream.finalMessage();
  assert.deepEqual(final.content, whole.content);
  assert.equal(start.input_tokens + start.cache_read_input_tokens, whole.usage.input_tokens + whole.usage.cache_read_input_tokens);

  const tools = [{ name: "get_weather", input_schema: weather }];
  const rowdy = { model: "random", messages: ask, tools, temperature: 1.5, max_tokens: 900, seed: 1, thinking: { type: "disabled" } };
  const called = await client.messages.create({ ...rowdy, tool_choice: { type: "any", disable_parallel_tool_use: true } });
  assert.equal(called.stop_reason, "tool_use");
  const uses = called.content.filter((block) => block.type === "tool_use");
  assert.equal(uses.length, 1);
  checkArguments(uses[0].input);
  const after = [...ask, { role: "assistant", content: called.content },
    { role: "user", content: [{ type: "tool_result", tool_use_id: uses[0].id, content: "grey" }] }];
  assert.ok((await client.messages.create({ ...rowdy, messages: after, tool_choice: { type: "none" }, max_tokens: 8 })).usage.output_tokens > 0);
  const streamed = await client.messages.stream({ ...rowdy, tool_choice: { type: "tool", name: "get_weather" } }).finalMessage();
  for (const block of streamed.content) checkArguments(block.input);
  assert.ok((await client.messages.countTokens({ model: "zero", messages })).input_tokens > 0);
  await assert.rejects(client.messages.create({ ...asked, model: "none" }), Anthropic.NotFoundError);
  await assert.rejects(client.messages.create({ ...asked, max_tokens: 0 }), Anthropic.BadRequestError);
  const cut = client.messages.stream({ ...rowdy, tools: undefined, max_tokens: 7000, output_config: { format: {
    type: "json_schema", schema: { type: "array", minItems: 6000, items: { type: "integer" } } } } });
  for await (const event of cut) if (event.type === "content_block_delta") break;
  await stopsWorking("random");
}

async function ollama(said) {
  const client = new Ollama({ host: url });
  const asked = { model: "zero", messages, options: { temperature: 0 } };
  const whole = await client.chat(asked);
  assert.equal(whole.message.content, said.content);
  assert.equal(whole.message.thinking, said.reasoning_content);
  let content = "", last;
  for await (const part of await client.chat({ ...asked, stream: true })) {
    content += part.message.content;
    last = part;
  }
  assert.equal(content, said.content);
  assert.equal(last.eval_count, whole.eval_count);
  const held = await client.chat({
    model: "random", messages: ask, format: weather, think: false, options: { temperature: 1.5, seed: 1, num_predict: 900 },
  });
  checkArguments(JSON.parse(held.message.content));
  const tools = [{ type: "function", function: { name: "get_weather", description: "", parameters: weather } }];
  const called = await client.chat({
    model: "random", messages: ask, tools, tool_choice: "required", think: false, options: { temperature: 1.5, seed: 1, num_predict: 900 },
  });
  assert.ok(called.message.tool_calls.length > 0);
  for (const call of called.message.tool_calls) checkArguments(call.function.arguments);
  const after = [...ask, called.message, { role: "tool", tool_name: "get_weather", content: "grey" }];
  assert.ok((await client.chat({ model: "random", messages: after, tools, options: { num_predict: 8 } })).eval_count > 0);
  assert.equal((await client.embed({ model: "zero", input: ["3+4", "5*6"] })).embeddings.length, 2);
  assert.deepEqual((await client.list()).models.map((model) => model.name).sort(), ["random:latest", "zero:latest"]);
  await assert.rejects(client.chat({ model: "none", messages }), (error) => error.status_code === 404);
  const endless = await client.chat({ model: "random", messages: ask, format: { type: "array", minItems: 6000, items: { type: "integer" } }, stream: true });
  setTimeout(() => client.abort(), 100);
  await assert.rejects(async () => { for await (const part of endless) assert.ok(part); });
  await stopsWorking("random");
}

const said = await openai();
await anthropic(said);
await ollama(said);
console.log("openai, @anthropic-ai/sdk and ollama of npm: all as expected");
