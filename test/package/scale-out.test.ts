/**
 * examples/scale-out/ with the servers that it is for, on this machine: shards that die in mid-request, replies that
 * arrive twice, states that are none.
 */
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { decodeAttention, KVCache } from '../../lib/attention.js';
import { ExpSumAccumulator, expSum, type StateOrigin } from '../../lib/index.js';
import { gumbelMax } from '../../lib/sampling.js';
import { root } from '../support/emulated.js';
import { run } from '../support/run.js';
import { freePort, service, type Service } from '../support/service.js';
import { itWith, tool, type Tool } from '../support/tools.js';

type Answer = (asked: { epoch: number; rows: number; floats: Float32Array }) => Uint8Array[];
interface Drawn {
  token: number;
  logProb: number;
  sum: ExpSumAccumulator;
}
interface Shards {
  readonly count: number;
}

const folder = path.join(root, 'examples', 'scale-out');
const load = async <T>(name: string) => (await import(pathToFileURL(path.join(folder, name)).href)) as T;
const { drawTokens, vocabularyShard, layoutOf } = await load<{
  drawTokens(shards: Shards, options: object): Promise<Drawn[]>;
  vocabularyShard(options: object): Answer;
  layoutOf(vocabulary: number, count: number): { shards: { from: number; to: number }[] };
}>('vocabulary.mjs');
const { attendShards, cacheShard } = await load<{
  attendShards(shards: Shards, options: object): Promise<{ out: Float32Array }>;
  cacheShard(options: object): Answer;
}>('cache.mjs');
const { serve, client } = await load<{
  serve(url: string, options: object): Promise<() => Promise<void>>;
  client(url: string, options: object): Promise<{ shards: Shards; close(): Promise<void> }>;
}>('engine.mjs');

type Ask = (bytes: Uint8Array, timeout: unknown, take: (shard: number, frames: Uint8Array[]) => boolean) => unknown;
const { readRequest, reply } = await load<{
  readRequest(bytes: Uint8Array): Parameters<Answer>[0];
  reply(answer: Answer, bytes: Uint8Array): Uint8Array;
}>('messages.mjs');

const nats = tool('nats-server', ['nats-server', '--version']);
const redis = tool('redis-server', ['redis-server', '--version']);
const engines: { engine: string; needed: Tool; start(port: number): string[]; ready: string }[] = [
  { engine: 'nats', needed: nats, start: (port) => ['-a', '127.0.0.1', '-p', `${port}`], ready: 'Server is ready' },
  {
    engine: 'redis',
    needed: redis,
    start: (port) => ['--bind', '127.0.0.1', '--port', `${port}`, '--save', '', '--appendonly', 'no'],
    ready: 'Ready to accept connections',
  },
];

const vocabulary = 140_000; // two parts on the first shard, one on the second
const logits = Float32Array.from({ length: vocabulary }, (_, i) => 9 * Math.sin(i * i));
const { shards: ranges } = layoutOf(vocabulary, 2);
const answerOf = (shard: number, x = logits): Answer => {
  const { from, to } = ranges[shard]!;
  return vocabularyShard({ logitsOf: () => x.subarray(from, to), from, to, vocabulary });
};
let epoch = 1000;
const draw = async (shards: Shards, options: object = {}) => {
  const asked = { hidden: new Float32Array(0), vocabulary, epoch: epoch++, seed: 3, step: 1, timeout: 20_000 };
  return (await drawTokens(shards, { ...asked, ...options }))[0]!;
};
const { mantissa, exponent } = expSum(logits);
const expectWhole = ({ token, logProb, sum }: Drawn) => {
  expect(sum.state).toEqual({ mantissa, exponent });
  expect(token).toBe(gumbelMax(logits, { seed: 3, step: 1 })[0]);
  expect(logProb).toBe(logits[token]! - sum.logSumExp());
};
const failure = (shard: number, message: RegExp) =>
  expect.objectContaining({ code: 'ERR_SHARD', shard, message: expect.stringMatching(message) as unknown });

/** One shard with all classes, without a server. */
const alone = (answer: Answer): Shards & { ask: Ask } => ({
  count: 1,
  ask: async (bytes, _, take) => void take(0, answer(readRequest(bytes))),
});

/** The bytes of a state with another origin. */
const relabelled = (state: Uint8Array, origin: StateOrigin) => ExpSumAccumulator.fromBytes(state).toBytes(origin);

/** A shard that takes a request and never answers. */
const hungProgram = (url: string, name: string, shard: number) => `
  const { serve } = await import(${JSON.stringify(pathToFileURL(path.join(folder, 'engine.mjs')).href)});
  const answer = () => { console.log('begun'); for (;;); };
  await serve(${JSON.stringify(url)}, { name: '${name}', shard: ${shard}, answer, stalled: 500 });
  console.log('ready');`;

describe.each(engines)('$engine', ({ engine, needed, start, ready }) => {
  let server: Service | undefined;
  let url = '';
  const cleanups: (() => unknown)[] = [];
  beforeAll(async () => {
    if (!needed.available) return;
    const port = await freePort();
    url = `${engine}://127.0.0.1:${port}`;
    server = service(needed.path, start(port));
    await server.says(ready);
  });
  afterAll(async () => {
    await Promise.all(cleanups.map((cleanup) => cleanup()));
    await server?.kill();
  });

  /** Serves shards of a name in this process, and gives their client. */
  async function shardsOf(name: string, answers: readonly Answer[], options: object = {}) {
    const stops = await Promise.all(
      answers.map((answer, shard) => serve(url, { name, shard, answer, onError: () => {} })),
    );
    const { shards, close } = await client(url, { name, count: 2, hedge: 200, ...options });
    cleanups.push(close, ...stops);
    return shards;
  }

  async function hungShard(name: string, shard: number) {
    const hung = service(process.execPath, ['--input-type=module', '--eval', hungProgram(url, name, shard)]);
    cleanups.push(() => hung.kill());
    await hung.says('ready');
    return hung;
  }

  itWith([needed], 'the program shows the bits of one machine', async () => {
    const output = await run(process.execPath, [path.join(folder, 'main.mjs'), url], { cwd: root });
    expect(output.match(/: the bits of one machine/g)).toHaveLength(2);
  });

  itWith([needed], 'draws the token of the whole row, by either method', async () => {
    const shards = await shardsOf('whole', [answerOf(0), answerOf(1)]);
    expectWhole(await draw(shards));
    const byParts = await draw(shards, { draw: 'parts' });
    expect(byParts.sum.state).toEqual({ mantissa, exponent });
    const whole = alone(vocabularyShard({ logitsOf: () => logits, from: 0, to: vocabulary, vocabulary }));
    expect(await draw(whole, { draw: 'parts' })).toMatchObject({ token: byParts.token, logProb: byParts.logProb });
  });

  itWith([needed], 'an error names the shard that dies in mid-request', async () => {
    const hung = await hungShard('alone', 1);
    const shards = await shardsOf('alone', [answerOf(0)]);
    const begun = performance.now();
    const drawn = draw(shards, { timeout: 3000 });
    const outcome = expect(drawn).rejects.toEqual(failure(1, /of shard 1 but received/));
    await hung.says('begun');
    await hung.kill();
    await outcome;
    expect(performance.now() - begun).toBeLessThan(8000);
  });

  itWith([needed], 'a replica answers for one that dies in mid-request', async () => {
    const hung = await hungShard('replicas', 1);
    const shards = await shardsOf('replicas', [answerOf(0)]);
    const drawn = draw(shards);
    await hung.says('begun');
    cleanups.push(
      await serve(url, { name: 'replicas', shard: 1, answer: answerOf(1), stalled: 500, onError: () => {} }),
    );
    await hung.kill();
    expectWhole(await drawn);
  });

  itWith([needed], 'a shard that nobody serves is an error within the timeout', async () => {
    const shards = await shardsOf('nobody', [answerOf(0)]);
    await expect(draw(shards, { timeout: 2000 })).rejects.toEqual(failure(1, /an answer .*of shard 1/));
  });

  itWith([needed], 'states that arrive twice, late or in pieces count once', async () => {
    // The frames of a part are its state and its candidate.
    const twice: Answer = (asked) => {
      const frames = answerOf(0)(asked);
      const late = answerOf(0)({ ...asked, epoch: asked.epoch - 7 });
      return [...late, ...frames.slice(2), ...frames, ...frames];
    };
    expectWhole(await draw(await shardsOf('twice', [twice, answerOf(1)])));
  });

  if (engine === 'nats') {
    itWith([needed], 'a reply that arrives twice counts once', async () => {
      const connection = await connect({ servers: url });
      cleanups.push(() => connection.close());
      connection.subscribe('doubled.1', {
        callback: (_, message) => {
          const whole = reply(answerOf(1), message.data);
          for (const bytes of [reply(() => [], message.data), whole, whole]) message.respond(bytes);
        },
      });
      connection.subscribe('doubled.0', {
        callback: (_, message) => {
          const half = reply((asked) => answerOf(0)(asked).slice(2), message.data);
          for (const bytes of [half, half, reply(answerOf(0), message.data)]) message.respond(bytes);
        },
      });
      await connection.flush();
      expectWhole(await draw(await shardsOf('doubled', [])));
    });
  }

  const bad: [string, (frames: Uint8Array[], asked: { epoch: number }) => Uint8Array[], RegExp][] = [
    [
      'a truncated state',
      ([state, ...others]) => [state!.subarray(0, -1), ...others],
      /a state of shard 1 .* 39 bytes/,
    ],
    ['no state', ([, candidate]) => [candidate!, candidate!], /a state of shard 1/],
    ['no candidate', ([state]) => [state!], /a token, its logit and its key of shard 1 but received none/],
    [
      'a state of version 1',
      ([state, candidate]) => [ExpSumAccumulator.fromBytes(state!).toBytes(), candidate!],
      /a state with its origin of shard 1/,
    ],
    [
      'a part of another shard',
      ([state, candidate], asked) => [relabelled(state!, { shard: 0, epoch: asked.epoch }), candidate!],
      /a part that it has of shard 1 but received part 0/,
    ],
  ];
  itWith([needed], 'what is no state, or has NaN, is an error', async () => {
    for (const [i, [name, change, message]] of bad.entries()) {
      const answer: Answer = (asked) => change(answerOf(1)(asked), asked);
      const shards = await shardsOf(`bad-${i}`, [answerOf(0), answer]);
      await expect(draw(shards), name).rejects.toEqual(failure(1, message));
    }
    const withNaN = logits.slice();
    withNaN[vocabulary - 1] = NaN;
    const shards = await shardsOf('nan', [answerOf(0), answerOf(1, withNaN)]);
    await expect(draw(shards)).rejects.toEqual(failure(1, /finite sums of shard 1 but received NaN/));
    const broken = () => {
      throw new Error('no weights');
    };
    const failing = await shardsOf('broken', [answerOf(0), broken]);
    await expect(draw(failing)).rejects.toEqual(failure(1, /states of shard 1 but received no weights/));
  });

  itWith([needed], 'attends to a cache on shards as to one cache', async () => {
    const [kvHeads, headDim, total] = [2, 16, 1300];
    const token = kvHeads * headDim;
    const [k, v] = [1, 2].map((seed) => Float32Array.from({ length: total * token }, (_, i) => Math.sin(seed * i * i)));
    const q = Float32Array.from({ length: 2 * token }, (_, i) => 4 * Math.cos(i * i));
    const cut = (x: Float32Array, from: number, to: number) => x.subarray(from * token, to * token);
    const answers = [
      [0, 1024],
      [1024, total],
    ].map(([from, to], shard) => {
      const keys = { k: cut(k!, from!, to!), v: cut(v!, from!, to!) };
      return cacheShard({ ...keys, kvHeads, headDim, shard, from, to, total });
    });
    const shards = await shardsOf('cache', [...answers]);
    const cache = new KVCache({ kvHeads, headDim });
    const sequence = cache.create();
    cache.append(sequence, k!, v!);
    const sinks = Float32Array.of(1, -1, 0, 2);
    const whole = decodeAttention(q, cache, sequence, { alibi: true, sinks });
    for (const perShard of [false, true]) {
      const asked = { q, total, epoch: epoch++, perShard, attention: { alibi: true }, sinks, heads: 4 };
      expect((await attendShards(shards, asked)).out).toEqual(whole);
    }
    const truncated: Answer = (asked) => [answers[1]!(asked)[0]!.subarray(0, 100)];
    const shorter = await shardsOf('cut', [answers[0]!, truncated]);
    await expect(attendShards(shorter, { q, total, epoch: epoch++ })).rejects.toEqual(
      failure(1, /a state of shard 1 but received 100 bytes/),
    );
  });
});
