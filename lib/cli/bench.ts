/**
 * flash-softmax bench: times one row on each backend of this machine, beside two known prices: a plain Math.exp loop,
 * and a copy of the row (memcpy), which runs at the speed of memory.
 */
import { backendNamed } from '../backend/named.js';
import { availableBackends } from '../backend/choice.js';
import { capabilities, softmax } from '../index.js';
import { largestOf, leastOf } from '../math/extremes.js';
import { names, positive, UsageError, type Command, type Given, type Io } from './command.js';
import { inTurns, type Timing } from './measure.js';
import { Progress } from './progress.js';
import { fill, fits } from './rows.js';
import { grouped, significant, table } from './table.js';

const SIZES = '10,100,1k,32k,128256,1M,16M'; // 128,256 is the vocabulary of a language model
const LONGEST_ROW = 2 ** 28;

interface Contender {
  readonly name: string;
  run(x: Float32Array, out: Float32Array): void;
}

interface Result {
  readonly elements: number;
  /** In the order of the contenders; undefined where the row is too long for one. */
  readonly timings: readonly (Timing | undefined)[];
}

/** A common softmax without a library. */
function mathExpLoop(x: Float32Array, out: Float32Array): void {
  let max = -Infinity;
  for (let i = 0; i < x.length; i++) if (x[i]! > max) max = x[i]!;
  let sum = 0;
  for (let i = 0; i < x.length; i++) {
    const e = Math.exp(x[i]! - max);
    out[i] = e;
    sum += e;
  }
  for (let i = 0; i < x.length; i++) out[i]! /= sum;
}

function contenders(given: Given): Contender[] {
  const backends = names(given, 'backends', availableBackends()).map((name): Contender => {
    const backend = backendNamed(name);
    return { name, run: (x, out) => backend.softmax_f32(x, out, 1, x.length, 1, 1, null, 0, null) };
  });
  const reference: Contender[] = [
    { name: 'memcpy', run: (x, out) => out.set(x) },
    { name: 'Math.exp', run: mathExpLoop },
  ];
  const automatic: Contender[] = given.has('backends')
    ? []
    : [{ name: 'softmax()', run: (x, out) => softmax(x, { out }) }];
  return [...reference, ...backends.reverse(), ...automatic];
}

function sizes(given: Given): number[] {
  const units: Record<string, number> = { '': 1, k: 2 ** 10, m: 2 ** 20 };
  return (given.get('sizes') ?? SIZES).split(',').map((text) => {
    const [, digits, unit] = /^(\d+)([km]?)$/i.exec(text) ?? [];
    const size = digits === undefined ? 0 : Number(digits) * units[unit!.toLowerCase()]!;
    if (size >= 1 && size <= LONGEST_ROW) return size;
    throw new UsageError(`Expected lengths from 1 to 256M for --sizes, as in ${SIZES}, but received '${text}'`);
  });
}

interface Measurement {
  readonly lengths: readonly number[];
  /** Slow contenders run on long rows too. */
  readonly includesSlow: boolean;
  /** Milliseconds. */
  readonly budget: number;
}

/** Times all contenders on rows of each length. */
function measure(field: readonly Contender[], { lengths, includesSlow, budget }: Measurement, io: Io): Result[] {
  const progress = new Progress(io.stderr);
  const longest = largestOf(lengths);
  const logits = new Float32Array(longest);
  const block = fill(logits.subarray(0, 2 ** 20), 'N(0,8)', 1);
  for (let at = block.length; at < longest; at += block.length) logits.set(block.subarray(0, longest - at), at);
  const output = new Float32Array(longest);

  const end = performance.now() + budget;
  return lengths.map((elements, i) => {
    progress.show(`${grouped(elements)} elements (${i + 1} of ${lengths.length})`);
    const x = logits.subarray(0, elements);
    const out = output.subarray(0, elements);
    const share = (end - performance.now()) / (lengths.length - i);
    const running = field.filter((each) => includesSlow || fits(each, elements));
    const found = inTurns(
      running.map((each) => () => each.run(x, out)),
      share,
    );
    progress.clear();
    return { elements, timings: field.map((each) => found[running.indexOf(each)]) };
  });
}

function nanoseconds(milliseconds: number, elements: number): number {
  return (milliseconds * 1e6) / elements;
}

function text(field: readonly Contender[], results: readonly Result[]): string {
  const rounds = results.flatMap(({ timings }) => timings.flatMap((timing) => timing?.rounds ?? []));
  const grid = (from: number, cell: (timing: Timing, elements: number, timings: Result['timings']) => string) =>
    table('r', [
      ['elements', ...field.slice(from).map(({ name }) => name)],
      ...results.map(({ elements, timings }) => [
        grouped(elements),
        ...timings.slice(from).map((timing) => (timing ? cell(timing, elements, timings) : '–')),
      ]),
    ]);
  const times = grid(0, ({ median, lower, upper }, elements) => {
    return `${significant(nanoseconds(median, elements))} ±${((50 * (upper - lower)) / median).toFixed(0)}%`;
  });
  const { processor, backend } = capabilities();
  return `${processor}; node ${process.version}; one row of float32 logits; softmax() runs ${backend}

nanoseconds per element: median of ${leastOf(rounds)} … ${largestOf(rounds)} rounds ± half the interquartile range
${times}
ratio to memcpy of the same row
${grid(1, ({ median }, _, timings) => significant(median / timings[0]!.median))}
times as fast as the Math.exp loop
${grid(2, ({ median }, _, timings) => significant(timings[1]!.median / median))}`;
}

function json(field: readonly Contender[], results: readonly Result[]): string {
  const { processor, caches, backend } = capabilities();
  const rows = results.flatMap(({ elements, timings }) =>
    timings.flatMap((timing, i) => {
      if (timing === undefined) return [];
      const { min, lower, median, upper, rounds } = timing;
      const perElement = (milliseconds: number) => nanoseconds(milliseconds, elements);
      return {
        elements,
        contender: field[i]!.name,
        nanosecondsPerElement: {
          min: perElement(min),
          lowerQuartile: perElement(lower),
          median: perElement(median),
          upperQuartile: perElement(upper),
        },
        timesMemcpy: median / timings[0]!.median,
        rounds,
      };
    }),
  );
  const report = { processor, caches, node: process.version, type: 'float32', backend, results: rows };
  return `${JSON.stringify(report, null, 2)}\n`;
}

export const bench: Command = {
  name: 'bench',
  summary: 'Time of one row on each backend of this machine, beside a Math.exp loop and a memcpy of the row.',
  options: {
    sizes: { value: 'LIST', help: `lengths of the row; k is 1,024 and M 1,048,576 (default ${SIZES})` },
    backends: {
      value: 'LIST',
      help: 'only these, as in avx2,js (default all, scalar up to 128k, and softmax() itself)',
    },
    time: { value: 'SECONDS', help: 'about how long to measure (default 12)' },
    json: { help: 'results for machines' },
  },
  run(given, _, io) {
    const field = contenders(given);
    const budget = positive(given, 'time', 12) * 1000;
    const results = measure(field, { lengths: sizes(given), includesSlow: given.has('backends'), budget }, io);
    io.stdout.write((given.has('json') ? json : text)(field, results));
    return 0;
  },
};
