// The JavaScript backend beside the loops that a person would write, in turns:
//
//     npm run bench:js -- [types] [part of an operator's name] [most elements of a row]
//
// A process for each type: a loop over one type is faster than one that has seen two. Halves are compared with float32.
// A figure is the loop's time over the package's: below 1 the loop is faster. Medians of rounds, in processor time.
import { fork } from 'node:child_process';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import * as rowLoops from './js-loops.mjs';
import * as samplingLoops from './js-sampling-loops.mjs';
import { normal } from './numbers.mjs';

process.env.FLASH_SOFTMAX_BACKEND = 'js';
const ROUNDS = 9;
/** Milliseconds that a task runs before it is timed. */
const WARM_UP = 60;
/** A case has at least so many elements, in rows. */
const ELEMENTS = 2 ** 14;
const LENGTHS = [4, 16, 64, 256, 1024, 4096, 32_768, 128_256, 2 ** 20];
const TYPES = ['float32', 'float64', 'float16', 'bfloat16'];

const root = await import('flash-softmax');
const losses = await import('flash-softmax/losses');
const sampling = await import('flash-softmax/sampling');
const routing = await import('flash-softmax/routing');
const { processorTime, table, turns } = await import('./turns.mjs');

const chain = { temperature: 0.8, topK: 50, topP: 0.95, minP: 0.05 };
/** The functions of the package, by the names of their loops. Each takes a case and its options. */
const ours = {
  softmax: ({ x, out }, o) => root.softmax(x, { ...o, out }),
  softmaxBiased: ({ x, out, bias }, o) => root.softmax(x, { ...o, out, bias }),
  softmaxMasked: ({ x, out, mask }, o) => root.softmax(x, { ...o, out, mask }),
  logSoftmax: ({ x, out }, o) => root.logSoftmax(x, { ...o, out }),
  logSumExp: ({ x, sums }, o) => root.logSumExp(x, { ...o, out: sums }),
  crossEntropy: ({ x, targets, sums }, o) => root.crossEntropy(x, targets, { ...o, out: sums }),
  crossEntropyGradient: ({ x, targets, sums, out }, o) =>
    root.crossEntropy(x, targets, { ...o, out: sums, gradient: out }),
  smoothedGradient: ({ x, targets, sums, out }, o) =>
    root.crossEntropy(x, targets, { ...o, out: sums, gradient: out, labelSmoothing: 0.1 }),
  focalGradient: ({ x, targets, sums, out }, o) => losses.focalLoss(x, targets, { ...o, out: sums, gradient: out }),
  softmaxBackward: ({ p, dy, out }, o) => root.softmaxBackward(p, dy, { ...o, out }),
  logSoftmaxBackward: ({ logs, dy, out }, o) => losses.logSoftmaxBackward(logs, dy, { ...o, out }),
  stableMax: ({ x, out }, o) => losses.stableMax(x, { ...o, out }),
  logStableMax: ({ x, out }, o) => losses.logStableMax(x, { ...o, out }),
  stableMaxGradient: ({ x, targets, sums, out }, o) =>
    losses.stableMaxCrossEntropy(x, targets, { ...o, out: sums, gradient: out }),
  taylorSoftmax: ({ x, out }, o) => losses.taylorSoftmax(x, { ...o, out }),
  zLoss: ({ x, targets, sums, out }, o) => losses.zLoss(x, targets, { ...o, out: sums, gradient: out }),
  softTopK: ({ x, k, out }, o) => losses.softTopK(x, k, { ...o, out }),
  softTopKBackward: ({ p, dy, out }, o) => losses.softTopKBackward(p, dy, { ...o, out }),
  safeStepRadius: ({ x, sums }, o) => losses.safeStepRadius(x, { ...o, out: sums }),
  argmax: ({ x }, o) => sampling.argmax(x, o),
  topK: ({ x, k }, o) => sampling.topK(x, k, o),
  sampleChain: ({ x, k }, o, seed) => sampling.sample(x, { ...o, ...chain, topK: k, seed }),
  sampleTopP: ({ x }, o, seed) => sampling.sample(x, { ...o, topP: 0.95, seed }),
  sampleMinP: ({ x }, o, seed) => sampling.sample(x, { ...o, minP: 0.05, seed }),
  sampleAll: ({ x }, o, seed) => sampling.sample(x, { ...o, temperature: 0.8, seed }),
  route: ({ x, k }, { cols }) => routing.route(x, { experts: cols, k }),
  loadBalance: ({ x, k, out, routes }, { cols }) =>
    routing.loadBalanceLoss(routes, x, { experts: cols, k, gradient: out }),
  routeBackward: ({ x, k, out, routes, slopes }, { cols }) =>
    routing.routeBackward(routes, slopes, x, { experts: cols, k, out }),
};
const ofRouting = ['route', 'loadBalance', 'routeBackward'];
const loops = { ...rowLoops, ...samplingLoops };
const FLOATS = { float32: Float32Array, float64: Float64Array };

/** The arrays of rows of a length, of a type. */
function caseOf(type, cols) {
  const rows = Math.max(1, Math.floor(ELEMENTS / cols));
  const n = rows * cols;
  const Floats = FLOATS[type] ?? Float32Array;
  const numbers = (seed, deviation) => Floats.from(normal(n, deviation, seed));
  const k = Math.min(cols >> 1, cols <= 1024 ? 8 : 50);
  const [x, dy] = [numbers(1, 3), numbers(2, 1)];
  const [p, logs] = [root.softmax(x, { cols }), root.logSoftmax(x, { cols })];
  const data = { rows, cols, k, x, dy, p, logs, out: new Floats(n), bias: numbers(3, 1).slice(0, cols) };
  Object.assign(data, { mask: Uint8Array.from(x, (_, i) => Number(i % 5 !== 3)), sums: new Float64Array(rows) });
  Object.assign(data, { targets: Int32Array.from({ length: rows }, (_, r) => (r * 37) % cols) });
  Object.assign(data, { tokens: new Uint32Array(rows), slopes: normal(rows * k, 1, 4) });
  if (type === 'float32' && cols <= 4096) data.routes = routing.route(x, { experts: cols, k });
  return data;
}

const view = new Float32Array(1);
const word = new Uint32Array(view.buffer);
/** The bits of a half of about that value. */
function halfOf(type, value) {
  view[0] = value;
  if (type === 'bfloat16') return word[0] >>> 16;
  const size = Math.abs(value);
  if (size < 2 ** -14) return Math.round(size * 2 ** 24) | ((word[0] >>> 16) & 0x8000);
  return ((word[0] >>> 16) & 0x8000) | (((word[0] >>> 13) & 0x3ffff) - 0x1c000);
}
const halves = (type, data) =>
  Object.fromEntries(
    Object.entries(data).map(([name, value]) =>
      value instanceof Float32Array && name !== 'slopes'
        ? [name, Uint16Array.from(value, (v) => halfOf(type, v))]
        : [name, value],
    ),
  );

/** Runs a task until it is compiled: a loop of one function is so after a few calls, an operator of six is not. */
function warmUp(task) {
  const end = performance.now() + WARM_UP;
  for (let i = 0; performance.now() < end; i++) task(i);
}

/** Measures an operator at a length: the package, and a loop, or for halves the package with float32. */
async function measure(type, name, cols) {
  const data = caseOf(type, cols);
  const isHalf = FLOATS[type] === undefined;
  const given = isHalf ? halves(type, data) : data;
  const options = isHalf ? { cols, dtype: type } : { cols };
  const here = (i) => ours[name](given, options, i);
  const beside = isHalf ? (i) => ours[name](data, { cols }, i) : () => loops[name](data);
  for (const task of [here, beside]) warmUp(task);
  const times = await turns({ here, beside }, { rounds: ROUNDS, clock: processorTime });
  const per = 1e6 / (data.rows * cols);
  return {
    ratio: times.beside.median / times.here.median,
    spread: times.here.spread / times.here.median,
    here: times.here.median * per,
    beside: times.beside.median * per,
  };
}

async function measureAll(type, part, most) {
  const isHalf = FLOATS[type] === undefined;
  const beside = isHalf ? 'float32' : 'a loop';
  console.log(`\n${type}: the time of ${beside} over that of the package; below the mark in bold\n`);
  table(['', ...LENGTHS.map((n) => n.toLocaleString('en')), `ns an element, here / ${beside}`, 'spread'], []);
  let slow = 0;
  for (const name of Object.keys(ours)) {
    if (!name.toLowerCase().includes(part.toLowerCase())) continue;
    if (ofRouting.includes(name) && type !== 'float32') continue;
    const cells = [];
    let [nanoseconds, spread] = ['', 0];
    for (const cols of LENGTHS) {
      const isWanted = cols <= most && !(ofRouting.includes(name) && cols > 1024);
      if (!isWanted) {
        cells.push('');
        continue;
      }
      const got = await measure(type, name, cols);
      const isSlow = isHalf ? got.ratio < 1 / 1.5 : got.ratio < 1;
      if (isSlow) slow++;
      cells.push(`${isSlow ? '**' : ''}${got.ratio.toPrecision(3)}${isSlow ? '**' : ''}`);
      nanoseconds = `${got.here.toPrecision(3)} / ${got.beside.toPrecision(3)}`;
      spread = Math.max(spread, got.spread);
    }
    console.log(`| ${[name, ...cells, nanoseconds, `${Math.round(100 * spread)} %`].join(' | ')} |`);
  }
  console.log(`\n${slow} below the mark`);
}

const [types = 'all', part = '', most = Infinity] = process.argv.slice(2);
if (process.env.FLASH_SOFTMAX_BENCH_TYPE === undefined) {
  console.log(`${cpus()[0].model.trim()}, backend ${root.capabilities().backend}, Node ${process.versions.node}`);
  for (const type of types === 'all' ? TYPES : types.split(',')) {
    const env = { ...process.env, FLASH_SOFTMAX_BENCH_TYPE: type };
    const child = fork(fileURLToPath(import.meta.url), [types, part, String(most)], { env });
    await new Promise((resolve) => child.once('exit', resolve));
  }
} else await measureAll(process.env.FLASH_SOFTMAX_BENCH_TYPE, part, Number(most));
