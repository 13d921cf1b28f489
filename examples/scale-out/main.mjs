// Tokens from a vocabulary on two shards, and attention over a cache on two, beside the same on this machine alone.
//
//   nats-server -a 127.0.0.1 & node examples/scale-out/main.mjs nats://127.0.0.1:4222
//   redis-server --bind 127.0.0.1 & node examples/scale-out/main.mjs redis://127.0.0.1:6379
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expSum } from 'flash-softmax';
import { decodeAttention, KVCache } from 'flash-softmax/attention';
import { gumbelMax } from 'flash-softmax/sampling';
import { attendShards } from './cache.mjs';
import { client } from './engine.mjs';
import * as model from './model.mjs';
import { drawTokens } from './vocabulary.mjs';

const url = process.argv[2] ?? 'nats://127.0.0.1:4222';
const COUNT = 2;
const processes = [];

async function start(shard) {
  const program = fileURLToPath(new URL('shard.mjs', import.meta.url));
  const child = spawn(process.execPath, [program, url, 'vocabulary,cache', shard, COUNT], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  processes.push(child);
  const exit = once(child, 'exit').then(([code]) => Promise.reject(new Error(`shard ${shard} exited with ${code}`)));
  await Promise.race([once(child.stdout, 'data'), exit]);
  exit.catch(() => {});
}

function same(name, isSame) {
  console.log(`${name}: ${isSame ? 'the bits of one machine' : 'other bits'}`);
  if (!isSame) process.exitCode = 1;
}

async function vocabulary(epoch) {
  const { shards, close } = await client(url, { name: 'vocabulary', count: COUNT, timeout: 30_000 });
  const rows = 2;
  const hidden = model.numbers(0, rows * model.HIDDEN, 77);
  const options = { rows, temperature: 0.7, seed: 42, step: 5 };
  const drawn = await drawTokens(shards, { hidden, vocabulary: model.VOCABULARY, epoch, ...options });
  await close();

  const logits = model.logitsOfClasses(0, model.VOCABULARY)({ floats: hidden, rows });
  const cols = model.VOCABULARY;
  const tokens = gumbelMax(logits, { cols, temperature: 0.7, seed: 42, step: 5 });
  const { mantissa, exponent } = expSum(logits, { cols, temperature: 0.7 });
  for (const { token, logProb } of drawn) console.log(`token ${token}, log-probability ${logProb.toFixed(6)}`);
  const isSame = drawn.every(({ token, sum: { state } }, row) => {
    return token === tokens[row] && state.mantissa[0] === mantissa[row] && state.exponent[0] === exponent[row];
  });
  same(`${rows} rows of ${cols} logits on ${COUNT} shards`, isSame);
}

async function cache(epoch) {
  const { shards, close } = await client(url, { name: 'cache', count: COUNT, timeout: 30_000 });
  const q = model.numbers(0, model.HEADS * model.HEAD_DIM, 3);
  const asked = { q, total: model.TOTAL_KEYS, attention: model.ATTENTION };
  const { out } = await attendShards(shards, { ...asked, epoch });
  await close();

  const whole = new KVCache({ kvHeads: model.KV_HEADS, headDim: model.HEAD_DIM });
  const sequence = whole.create();
  const { k, v } = model.keysAndValues(0, model.TOTAL_KEYS);
  whole.append(sequence, k, v);
  const expected = decodeAttention(q, whole, sequence, model.ATTENTION);
  same(
    `attention over ${model.TOTAL_KEYS} keys on ${COUNT} shards`,
    expected.every((x, i) => x === out[i]),
  );
}

try {
  await Promise.all(Array.from({ length: COUNT }, (_, shard) => start(shard)));
  const epoch = Date.now(); // no request of an earlier run has it
  await vocabulary(epoch);
  await cache(epoch);
} finally {
  for (const child of processes) child.kill();
}
