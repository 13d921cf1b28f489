/**
 * flash-softmax tune: measures from which sizes on another plan pays on this machine (the offline decision flow of
 * FlashDecoding++, arXiv 2311.01282), shows these sizes beside the built-in ones, and writes them as a profile.
 */
import type { Kernels } from '../backend/backend.js';
import { native, type Addon, type Plan } from '../backend/native.js';
import { backendNamed } from '../backend/named.js';
import { choice, JS_MAX_ELEMENTS } from '../backend/choice.js';
import { PROFILE_VERSION } from '../backend/profile.js';
import { capabilities } from '../index.js';
import { leastOf } from '../math/extremes.js';
import { Failure, positive, type Command, type Io } from './command.js';
import { writeWhole } from './files.js';
import { inTurns } from './measure.js';
import { Progress } from './progress.js';
import { fill } from './rows.js';
import { bytes, grouped, significant, table } from './table.js';

const MiB = 2 ** 20;
const WORTH_A_THREAD = 0.1; // a smaller gain does not pay for a second thread
const BATCH_COLS = 4096; // rows of 16 KiB: no two threads share a row

/** The time of each way at one size, in milliseconds. */
export interface Point {
  readonly size: number;
  readonly times: readonly number[];
}

interface Question {
  readonly name: keyof Plan | 'jsMaxElements';
  readonly title: string;
  /** The compared ways; the last one runs from the threshold on. */
  readonly ways: readonly string[];
  readonly points: readonly Point[];
  readonly builtIn: number;
  readonly measured: number;
}

/** Sizes from `from` to `to`, both included, so many for each octave. */
function ladder(from: number, to: number, perOctave: number): number[] {
  const steps = Math.round(Math.log2(to / from) * perOctave);
  return Array.from({ length: steps + 1 }, (_, i) => from * 2 ** (i / perOctave));
}

/**
 * The size from which on the last way should run, and below it the best other way. Over all sizes this choice has the
 * least sum of log times, so that one disturbed measurement does not decide. Infinity: never; the smallest size:
 * always. `margin` is the relative gain that the last way must have.
 */
export function crossover(points: readonly Point[], margin = 0): number {
  const gains = points.map(({ times }) => Math.log((times.at(-1)! * (1 + margin)) / leastOf(times.slice(0, -1))));
  let first = points.length;
  let [least, sum] = [0, 0];
  for (let i = points.length - 1; i >= 0; i--) {
    sum += gains[i]!;
    if (sum < least) [least, first] = [sum, i];
  }
  if (first === points.length) return Infinity;
  return first === 0 ? points[0]!.size : Math.sqrt(points[first - 1]!.size * points[first]!.size);
}

class Tuner {
  readonly #x: Float32Array;
  readonly #out: Float32Array;
  readonly #progress: Progress;

  /** @param longest Bytes of the largest call. @param time Milliseconds of the whole command. */
  constructor(
    readonly addon: Addon,
    readonly kernels: Pick<Kernels, 'softmax_f32' | 'softmax_f64'>,
    readonly longest: number,
    readonly time: number,
    io: Io,
  ) {
    this.#x = new Float32Array(longest / 4);
    this.#out = new Float32Array(longest / 4);
    const block = fill(this.#x.subarray(0, MiB), 'N(0,8)', 1);
    for (let at = block.length; at < this.#x.length; at += block.length) {
      this.#x.set(block.subarray(0, this.#x.length - at), at);
    }
    this.#progress = new Progress(io.stderr);
  }

  /** Times the plans at a size in bytes, for a row or for rows of `cols`. */
  async plans(what: string, size: number, cols: number, plans: readonly Plan[]): Promise<Point> {
    this.#progress.show(`${what}: ${bytes(size)}`);
    const rows = Math.max(1, Math.round(size / 4 / cols));
    const x = this.#x.subarray(0, rows * cols);
    const out = this.#out.subarray(0, rows * cols);
    const calls = plans.map(({ twoPassBytes, streamBytes, parallelBytes }) => () => {
      this.addon.plan(twoPassBytes, streamBytes, parallelBytes);
      this.kernels.softmax_f32(x, out, rows, cols, 1, 1, null, 0, null);
    });
    return { size: rows * cols * 4, times: (await inTurns(calls, 0.04 * this.time)).map(({ min }) => min) };
  }

  /** Times JavaScript and native code at a number of elements. */
  async tiny(elements: number): Promise<Point> {
    this.#progress.show(`JavaScript or native code: ${elements} elements`);
    const x = this.#x.subarray(0, elements);
    const out = this.#out.subarray(0, elements);
    const calls = [backendNamed('js'), this.kernels].map(({ softmax_f32 }) => () => {
      softmax_f32(x, out, 1, elements, 1, 1, null, 0, null);
    });
    return { size: elements, times: (await inTurns(calls, 0.01 * this.time)).map(({ min }) => min) };
  }

  done(): void {
    this.#progress.clear();
  }
}

const STORED: Plan = { twoPassBytes: Infinity, streamBytes: Infinity, parallelBytes: Infinity };
const TWICE: Plan = { ...STORED, twoPassBytes: 0 };
const STREAMED: Plan = { ...TWICE, streamBytes: 0 };

/** Measurements one after the other: two at a time would disturb one another. */
async function inOrder(sizes: readonly number[], measure: (size: number) => Promise<Point>): Promise<Point[]> {
  const points: Point[] = [];
  for (const size of sizes) points.push(await measure(size));
  return points;
}

/** Measures all questions. */
async function questions(tuner: Tuner, builtIn: Plan, lastCache: number, threads: number): Promise<Question[]> {
  const sizes = ladder(lastCache / 32, tuner.longest, 2).map((size) => Math.round(size / 4096) * 4096);
  const rows = await inOrder(sizes, (size) => tuner.plans('one row', size, size / 4, [STORED, TWICE, STREAMED]));
  const ways = (pick: (times: readonly number[]) => number[]) =>
    rows.map(({ size, times }) => ({ size, times: pick(times) }));
  const twice = ways(([stored, twice, streamed]) => [stored!, Math.min(twice!, streamed!)]);
  const streamed = ways(([, twice, streamed]) => [twice!, streamed!]);

  const shared = await inOrder(ladder(32 * 1024, 4 * MiB, 2), (size) =>
    tuner.plans('rows on one thread or several', size, BATCH_COLS, [STORED, { ...STORED, parallelBytes: 0 }]),
  );
  const tiny = await inOrder([4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256], (n) => tuner.tiny(n));
  tuner.done();
  return [
    {
      name: 'twoPassBytes',
      title: 'read a row twice instead of storing and scaling it',
      ways: ['stored', 'read twice'],
      points: twice,
      builtIn: builtIn.twoPassBytes,
      measured: crossover(twice),
    },
    {
      name: 'streamBytes',
      title: 'write what is read twice past the caches',
      ways: ['cached', 'streamed'],
      points: streamed,
      builtIn: builtIn.streamBytes,
      measured: crossover(streamed),
    },
    {
      name: 'parallelBytes',
      title: 'share rows among threads',
      ways: ['1 thread', `${threads} threads`],
      points: shared,
      builtIn: builtIn.parallelBytes,
      measured: threads > 1 ? crossover(shared, WORTH_A_THREAD) : Infinity,
    },
    {
      name: 'jsMaxElements',
      title: 'leave JavaScript for native code',
      ways: ['JavaScript', 'native'],
      points: tiny,
      builtIn: JS_MAX_ELEMENTS,
      measured: crossover(tiny),
    },
  ].map((question) => ({ ...question, measured: Math.round(question.measured) }) as Question);
}

const size = ({ name }: Question, n: number) =>
  n === Infinity ? 'never' : name === 'jsMaxElements' ? `${grouped(n)} elements` : bytes(n);

function text(list: readonly Question[], heading: string, source: string): string {
  const curves = list.map((question) => {
    const { title, ways, points } = question;
    const microseconds = points.map(({ size: at, times }) => [
      size(question, at),
      ...times.map((milliseconds) => significant(milliseconds * 1000)),
      1.02 * times.at(-1)! < leastOf(times.slice(0, -1)) ? ways.at(-1)! : '',
    ]);
    return `${title}: microseconds a call\n${table('rrrl', [['', ...ways, 'faster'], ...microseconds])}`;
  });
  const summary = table('llrr', [
    ['from here on', 'in a profile', source === 'built-in' ? 'built in' : 'in force', 'measured'],
    ...list.map((question) => [
      question.title,
      question.name === 'jsMaxElements' ? '(not in it)' : question.name,
      size(question, question.builtIn),
      size(question, question.measured),
    ]),
  ]);
  return `${heading}

${curves.join('\n')}
${summary}`;
}

export const tune: Command = {
  name: 'tune',
  summary: 'Measures from which sizes on another plan pays on this machine, and writes a profile for it.',
  options: {
    out: { value: 'FILE', help: 'write the profile, for FLASH_SOFTMAX_PROFILE' },
    time: { value: 'SECONDS', help: 'about how long to measure (default 20)' },
    json: { help: 'results for machines' },
  },
  notes: `With FLASH_SOFTMAX_PROFILE=FILE the package uses the measured sizes. A profile changes how fast results come and
never a bit of them; which calls are so small that JavaScript runs them is therefore measured but not in a profile.
`,
  async run(given, _, io) {
    const { name } = choice();
    const { addon, error } = native();
    if (addon === null) throw new Failure(`Nothing to tune without native code: ${error}`);
    if (name === 'js') throw new Failure('Nothing to tune: the backend that runs is js (see flash-softmax info)');
    const start = performance.now();
    const time = positive(given, 'time', 20) * 1000;
    const { processor, caches, threads, plan } = capabilities();
    const inForce = addon.plan();
    const lastCache = caches.l3 || caches.l2 || 8 * MiB;
    const longest = Math.min(256 * MiB, Math.max(32 * MiB, 4 * lastCache));
    let list: Question[];
    try {
      const tuner = new Tuner(addon, backendNamed(name), longest, time, io);
      list = await questions(tuner, inForce, Math.min(lastCache, longest / 4), threads);
    } finally {
      addon.plan(inForce.twoPassBytes, inForce.streamBytes, inForce.parallelBytes);
    }
    const measured = list.filter((question) => question.name !== 'jsMaxElements');
    const never = (n: number) => (n === Infinity ? null : n);
    const profile = {
      version: PROFILE_VERSION,
      processor,
      ...Object.fromEntries(measured.map((question) => [question.name, never(question.measured)])),
    };
    const file = given.get('out');
    if (file !== undefined) {
      writeWhole(file, [Buffer.from(`${JSON.stringify(profile, null, 2)}\n`)]);
    }
    if (given.has('json')) {
      io.stdout.write(`${JSON.stringify({ processor, backend: name, threads, questions: list, profile }, null, 2)}\n`);
    } else {
      const seconds = ((performance.now() - start) / 1000).toFixed(0);
      const heading = `${processor}; ${name}; node ${process.version}; float32; measured in ${seconds} s`;
      io.stdout.write(text(list, heading, plan!.source));
      if (file !== undefined) io.stdout.write(`\nwritten to ${file}: FLASH_SOFTMAX_PROFILE=${file} uses it\n`);
    }
    return 0;
  },
};
