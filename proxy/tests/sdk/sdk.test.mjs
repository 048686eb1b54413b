// The official OpenAI SDK for Node, unmodified, against the gateway that the Python tests have started.
// Node itself decodes base64 and checks tool calls more strictly than Python's SDK does.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, test } from 'node:test';

import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';

const { TOLLGATE_URL, TOLLGATE_FAKE_OPENAI, TOLLGATE_CALLS_FILE } = process.env;
const MODELS = ['gpt-4o', 'claude-sonnet'];
const FAMILIES = ['gpt', 'claude'];
const TOOLS = [['get_weather', 'city'], ['get_time', 'zone']].map(([name, field]) => ({
  type: 'function',
  function: {
    name,
    parameters: { type: 'object', properties: { [field]: { type: 'string' } }, required: [field] },
  },
}));

// Requests that must each leave a row, by the name of their key: none where the key is refused.
const calls = {};
after(() => writeFileSync(TOLLGATE_CALLS_FILE, JSON.stringify(calls)));
const count = (name, by) => (calls[name] = (calls[name] ?? 0) + by);

function client({ key = 'main', seen = [], ...options } = {}) {
  const counting = async (url, init) => {
    const posts = init?.method?.toUpperCase() === 'POST';
    count(key, posts ? 1 : 0);
    const response = await fetch(url, init);
    if (response.status === 401) {
      count(key, posts ? -1 : 0);
      count('', 1);
    }
    seen.push(response.status);
    return response;
  };
  return new OpenAI({
    baseURL: `${TOLLGATE_URL}/v1`, apiKey: `sk-tg-sdk-tests-${key}`, maxRetries: 0, fetch: counting, ...options,
  });
}

const ask = (text = 'Good morning') => [{ role: 'user', content: text }];
const chat = (fields, options) => client(options).chat.completions.create({ messages: ask(), ...fields });

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return { chunks, text: chunks.map((it) => it.choices[0]?.delta.content ?? '').join('') };
}

for (const model of MODELS) {
  test(`${model}: a whole answer parses and counts`, async () => {
    const answer = await chat({ model });
    assert.equal(answer.choices[0].message.content, 'You said: Good morning');
    assert.equal(answer.usage.total_tokens, 6);
    assert.match(answer._request_id, /^req_/);
  });

  test(`${model}: a stream shows usage only to who asked`, async () => {
    const plain = await collect(await chat({ model, stream: true }));
    assert.equal(plain.text, 'You said: Good morning');
    assert.ok(plain.chunks.every((it) => !('usage' in it) && it.choices.length > 0));
    const counted = await collect(await chat({ model, stream: true, stream_options: { include_usage: true } }));
    assert.equal(counted.text, plain.text);
    assert.equal(counted.chunks.at(-1).usage.total_tokens, 6);
    assert.deepEqual(counted.chunks.at(-1).choices, []);
  });

  test(`${model}: streamed tool calls are assembled, and their results answered`, async () => {
    const messages = ask('Both in parallel');
    const stream = client().chat.completions.stream({ model, messages, tools: TOOLS });
    const turn = (await stream.finalChatCompletion()).choices[0];
    assert.equal(turn.finish_reason, 'tool_calls');
    const made = turn.message.tool_calls.map((it) => [it.function.name, JSON.parse(it.function.arguments)]);
    assert.deepEqual(made, [['get_weather', { city: 'city' }], ['get_time', { zone: 'zone' }]]);
    const results = turn.message.tool_calls.map((it) => ({ role: 'tool', tool_call_id: it.id, content: 'well' }));
    const answer = await chat({ model, messages: [...messages, turn.message, ...results], tools: TOOLS });
    assert.match(answer.choices[0].message.content, /^The tool said: /);
  });

  test(`${model}: structured output is an instance of its schema`, async () => {
    const schema = z.object({ city: z.string(), degrees: z.number() });
    const fields = { model, messages: ask(), response_format: zodResponseFormat(schema, 'weather') };
    const answer = await client().chat.completions.parse(fields);
    assert.equal(typeof answer.choices[0].message.parsed.city, 'string');
    assert.equal(typeof answer.choices[0].message.parsed.degrees, 'number');
  });

  test(`${model}: a bad request names its field`, async () => {
    await assert.rejects(chat({ model, messages: [] }), (error) => {
      assert.ok(error instanceof OpenAI.BadRequestError);
      assert.equal(error.param, 'messages');
      return true;
    });
  });
}

for (const model of ['text-embedding-3-small', 'embeds-floats', 'embeds-base64']) {
  test(`${model}: embeddings are the same by default as when floats are asked for`, async () => {
    const fields = { model, input: 'a b' };
    const byDefault = (await client().embeddings.create(fields)).data[0].embedding;
    const floats = (await client().embeddings.create({ ...fields, encoding_format: 'float' })).data[0].embedding;
    assert.equal(byDefault.length, 1536);
    byDefault.forEach((it, index) => assert.ok(Math.abs(it - floats[index]) < 1e-6));
  });
}

test('models are listed and found, with a slash in their ids too', async () => {
  const listed = [];
  for await (const model of client().models.list()) listed.push(model.id);
  assert.ok(listed.includes('gpt-4o') && listed.includes('vendor/chat:latest'));
  assert.equal((await client().models.retrieve('vendor/chat:latest')).id, 'vendor/chat:latest');
});

test('an unknown key is an authentication error', async () => {
  await assert.rejects(chat({ model: 'gpt-4o' }, { key: 'nobody' }), (error) => {
    assert.ok(error instanceof OpenAI.AuthenticationError);
    assert.equal(error.code, 'invalid_api_key');
    assert.match(error.requestID, /^req_/);
    return true;
  });
});

test('a wrong model is not found', async () => {
  await assert.rejects(chat({ model: 'gpt-0' }), (error) => {
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.equal(error.code, 'model_not_found');
    return true;
  });
});

for (const family of FAMILIES) {
  test(`${family}: a refused provider key is a fault of the gateway, not retried`, async () => {
    const seen = [];
    const refused = chat({ model: `${family}-refused` }, { seen, maxRetries: 2 });
    await assert.rejects(refused, (error) => error instanceof OpenAI.InternalServerError);
    assert.deepEqual(seen, [502]);
  });

  test(`${family}: a stream that breaks is an error`, async () => {
    const stream = await chat({ model: `${family}-broken`, stream: true });
    await assert.rejects(collect(stream), (error) => error instanceof OpenAI.APIError);
  });

  test(`${family}: a client may stop reading half-way`, async () => {
    const stream = await chat({ model: `${family}-long`, stream: true });
    let heard = 0;
    for await (const _chunk of stream) if ((heard += 1) === 20) break;
    assert.equal(heard, 20);
  });

  test(`${family}: a client may give up waiting`, async () => {
    const waiting = chat({ model: `${family}-hang` }, { timeout: 300 });
    await assert.rejects(waiting, (error) => error instanceof OpenAI.APIConnectionTimeoutError);
  });
}

test('a call that must wait is retried and succeeds', async () => {
  const seen = [];
  const first = chat({ model: 'gpt-gate-node' }, { key: 'single' });
  const root = TOLLGATE_FAKE_OPENAI.replace(/\/v1$/, '');
  for (let waiting = 0; waiting === 0;) {
    waiting = (await (await fetch(`${root}/__fake/stats`)).json()).in_flight;
  }
  const watched = new Proxy(seen, {
    set(list, index, value) {
      if (value === 429) fetch(`${root}/__fake/open?node`, { method: 'POST' });
      return Reflect.set(list, index, value);
    },
  });
  const second = await chat({ model: 'gpt-4o' }, { key: 'single', seen: watched, maxRetries: 2 });
  assert.equal(second.choices[0].finish_reason, 'stop');
  assert.equal((await first).choices[0].finish_reason, 'stop');
  assert.deepEqual(seen, [429, 200]);
});

test('a spent cap is not worth a retry', async () => {
  const seen = [];
  const refused = chat({ model: 'gpt-4o', max_tokens: 1000 }, { key: 'capped', seen, maxRetries: 2 });
  await assert.rejects(refused, (error) => error instanceof OpenAI.RateLimitError);
  assert.deepEqual(seen, [429]);
});

test('many calls at once get their own answers', async () => {
  const numbers = [...Array(50).keys()];
  const one = async (number) => {
    const fields = { model: MODELS[number % 2], messages: ask(`number ${number}`) };
    if (number % 3) return (await chat(fields)).choices[0].message.content;
    return (await collect(await chat({ ...fields, stream: true }))).text;
  };
  assert.deepEqual(await Promise.all(numbers.map(one)), numbers.map((it) => `You said: number ${it}`));
});
