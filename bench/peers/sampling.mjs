// Times the choice of a token beside transformers.js and node-llama-cpp, in one process and in turns, on one thread:
//
//     node bench/peers/sampling.mjs [rounds, default 31]
//
// Needs `npm run compile`, `npm ci` in this folder, and for node-llama-cpp `npm ci --ignore-scripts` in llama/ (its
// prebuilt binary runs). One row of logits, temperature .8, a repetition penalty of 1.1 over 64 tokens, top-k 40, and
// where the peer has them top-p .95 and min-p .05.
//
// node-llama-cpp samples only what its own model computed: the figure is the time of a token with the chain less that
// of a token without (temperature 0, no penalty: the largest logit is still searched), of a model of one layer. It is a
// small difference of large times, so that of the best times is printed: look at the spread before you believe it.
import { existsSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sample, Sampler } from '../../dist/sampling.js';
import { normal } from '../numbers.mjs';
import { oneThread, table, turns } from '../turns.mjs';
import { writeModel } from './gguf.mjs';

const rounds = Number(process.argv[2] ?? 31);
const [temperature, topK, topP, minP, repetitionPenalty] = [0.8, 40, 0.95, 0.05, 1.1];
const history = (cols) => Array.from({ length: 64 }, (_, i) => (i * 7919) % cols);

function ours(cols, rows) {
  const filters = { temperature, topK, topP, minP };
  const penalized = (options) => {
    const sampler = new Sampler({ repetitionPenalty, seed: 1, ...options });
    sampler.accept(history(cols));
    return (i) => sampler.next(rows[i % rows.length]);
  };
  return {
    'flash-softmax, all': penalized({ ...filters }),
    'flash-softmax, without top-p and min-p': penalized({ temperature, topK }),
    'flash-softmax, filters alone': (i) => sample(rows[i % rows.length], { ...filters, seed: 1, step: i }),
    'memcpy of the logits': (() => {
      const copy = new Float32Array(cols);
      return (i) => copy.set(rows[i % rows.length]);
    })(),
  };
}

/** transformers.js as generate() calls it. Its TopPLogitsWarper does nothing, and min-p it does not have. */
async function transformers(cols, rows) {
  const source = new URL('node_modules/@huggingface/transformers/src/', import.meta.url);
  if (!existsSync(source)) return {};
  const { RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper, Tensor } = await import(
    new URL('transformers.js', source)
  );
  const { LogitsSampler } = await import(new URL('generation/logits_sampler.js', source));
  const processors = [
    new RepetitionPenaltyLogitsProcessor(repetitionPenalty),
    new TemperatureLogitsWarper(temperature),
  ];
  const ids = [history(cols).map(BigInt)];
  const copy = new Float32Array(cols); // processors write in place
  const chain = (top_k) => {
    const sampler = LogitsSampler.getSampler({ do_sample: true, top_k, num_beams: 1 });
    return async (i) => {
      copy.set(rows[i % rows.length]);
      const logits = new Tensor('float32', copy, [1, cols]);
      for (const process of processors) process(ids, logits);
      const [[token]] = await sampler(logits);
      return token;
    };
  };
  return { 'transformers.js, without top-p and min-p': chain(topK) };
}

/** A token of node-llama-cpp, with the chain and without. */
async function llama(cols) {
  const entry = new URL('llama/node_modules/node-llama-cpp/dist/index.js', import.meta.url);
  if (!existsSync(entry)) return {};
  const { getLlama, LlamaLogLevel } = await import(entry);
  const instance = await getLlama({ gpu: false, build: 'never', maxThreads: 1, logLevel: LlamaLogLevel.error });
  const path = join(tmpdir(), `flash-softmax-${process.pid}-${cols}.gguf`);
  writeModel(path, cols);
  const model = await instance.loadModel({ modelPath: path });
  const context = await model.createContext({ contextSize: 4096, batchSize: 64, threads: 1, sequences: 1 });
  const sequence = context.getSequence();
  const punishTokens = history(cols);
  const token = (options) => async (i) => {
    if (sequence.nextTokenIndex > 64) await sequence.clearHistory();
    const [result] = await sequence.controlledEvaluate([[300 + (i % 100), { generateNext: { token: true, options } }]]);
    return result.next.token;
  };
  const repeatPenalty = { punishTokens, penalty: repetitionPenalty };
  return {
    tasks: {
      'node-llama-cpp, a token with all': token({ temperature, topK, topP, minP, seed: 1, repeatPenalty }),
      'node-llama-cpp, a token without top-p and min-p': token({ temperature, topK, seed: 1, repeatPenalty }),
      'node-llama-cpp, a token without any': token({ temperature: 0 }),
    },
    async end() {
      await model.dispose();
      rmSync(path);
    },
  };
}

const micro = (ms) => 1000 * ms;

oneThread();
for (const cols of [32_000, 128_256]) {
  const rows = Array.from({ length: 8 }, (_, i) => normal(cols, 4, 10 + i));
  const peer = await llama(cols);
  const times = await turns({ ...ours(cols, rows), ...(await transformers(cols, rows)), ...peer.tasks }, { rounds });
  await peer.end?.();
  const unit = times['flash-softmax, all'];
  console.log(`\n${cols} logits\n`);
  table(
    ['', 'µs, median', '± half the interquartile range', 'best', '× flash-softmax, all', 'best'],
    Object.entries(times).map(([name, { median, spread, best }]) => [
      name,
      ...[median, spread, best].map(micro),
      median / unit.median,
      best / unit.best,
    ]),
  );
  const bare = times['node-llama-cpp, a token without any'];
  if (bare === undefined) continue;
  for (const [chain, name] of [
    ['with all', 'all'],
    ['without top-p and min-p', 'without top-p and min-p'],
  ]) {
    const less = micro(times[`node-llama-cpp, a token ${chain}`].best - bare.best);
    const ratio = less / micro(times[`flash-softmax, ${name}`].best);
    console.log(
      `node-llama-cpp ${chain}, less a token without any, best: ${less.toFixed(0)} µs, ${ratio.toFixed(1)} ×`,
    );
  }
}
process.exit(0); // threads of peers would keep the process
