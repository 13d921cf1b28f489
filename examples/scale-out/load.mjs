// Holds a rate of requests for some time, and shows their latencies. A request: 128,256 logits that lie on two shards,
// the drawn token returned. Requests start by the clock, whether or not earlier ones are done.
//
//   nats-server -a 127.0.0.1 & node examples/scale-out/load.mjs nats://127.0.0.1:4222 1000 30
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { client } from './engine.mjs';
import { LOAD_VOCABULARY, SHARDS } from './model.mjs';
import { readRequest } from './messages.mjs';
import { drawTokens } from './vocabulary.mjs';

const [url = 'nats://127.0.0.1:4222', perSecond = '1000', duration = '30'] = process.argv.slice(2);
const [rate, seconds, count] = [Number(perSecond), Number(duration), 2];
const draw = 'parts';

const children = Array.from({ length: count }, (_, shard) => {
  const program = fileURLToPath(new URL('shard.mjs', import.meta.url));
  return spawn(process.execPath, [program, url, 'logits', shard, count], { stdio: ['ignore', 'pipe', 'inherit'] });
});

/** The tokens of one shard with all classes, in this process. */
const local = {
  count: 1,
  answer: SHARDS.logits(0, 1),
  async ask(bytes, _, take) {
    take(0, this.answer(readRequest(bytes)));
  },
};

const percentile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];

async function run(shards) {
  const none = new Float32Array(0);
  const ask = (to, step) =>
    drawTokens(to, { hidden: none, vocabulary: LOAD_VOCABULARY, epoch: step, step, seed: 9, draw, timeout: 5000 });
  for (let step = 0; step < 500; step++) await ask(shards, step); // everything is compiled

  const total = rate * seconds;
  const latencies = [];
  const tokens = new Array(total);
  let failed = 0;
  const begun = performance.now();
  const before = process.cpuUsage();
  const pending = [];
  for (let step = 0; step < total; step++) {
    const due = begun + (step * 1000) / rate;
    while (performance.now() < due) await setTimeout(1); // spinning would take a core from the shards
    pending.push(
      ask(shards, step).then(
        ([{ token }]) => {
          tokens[step] = token;
          latencies.push(performance.now() - due);
        },
        () => failed++,
      ),
    );
  }
  await Promise.all(pending);
  const taken = (performance.now() - begun) / 1000;
  const { user, system } = process.cpuUsage(before);
  latencies.sort((a, b) => a - b);
  const shown = [0.5, 0.9, 0.99, 0.999].map((p) => `p${p * 100} ${percentile(latencies, p).toFixed(2)} ms`).join(', ');
  console.log(`${total} requests in ${taken.toFixed(1)} s, ${failed} failed: ${shown}`);
  console.log(`processor time of the client: ${((user + system) / total).toFixed(0)} µs a request`);
  for (let step = 0; step < total; step += Math.ceil(total / 100)) {
    const [{ token }] = await ask(local, step);
    if (tokens[step] !== undefined && tokens[step] !== token) throw new Error(`another token at step ${step}`);
  }
  console.log('a hundred of the tokens are those of one machine');
}

try {
  await Promise.all(children.map((child) => once(child.stdout, 'data')));
  const { shards, close } = await client(url, { name: 'logits', count, hedge: 1000 });
  await run(shards);
  await close();
} finally {
  for (const child of children) child.kill();
}
