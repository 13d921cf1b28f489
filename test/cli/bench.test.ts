/** flash-softmax bench: the cases that it measures and its output, apart from the times. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { availableBackends, choice } from '../../lib/backend/choice.js';
import { measure } from '../../lib/cli/bench/field.js';
import type { Work } from '../../lib/cli/bench/work.js';
import { inTurns } from '../../lib/cli/measure.js';
import { setThreads } from '../../lib/index.js';
import { capture, temporaryDirectory } from './capture.js';

const timeout = { timeout: 120_000 };
const quick = ['--time', '0.05'];
const rows = ['--shape', '10,2x1k', ...quick];

describe('bench', () => {
  it('has every backend of this machine beside memcpy, a plain loop and what runs by itself', timeout, async () => {
    const { name } = choice();
    const { status, stdout, stderr } = await capture(['bench', '--json', ...rows]);
    expect([status, stderr]).toEqual([0, '']);
    const { results, processor, threads } = JSON.parse(stdout);
    expect([typeof processor, typeof threads]).toEqual(['string', 'number']);
    const field = ['memcpy', 'loop', ...[...availableBackends()].reverse(), 'automatic'];
    expect(results.map(({ contender }: { contender: string }) => contender)).toEqual([...field, ...field]);
    for (const { work, dtype, shape, elements, nanosecondsPerElement, nanoseconds, timesMemcpy, rounds } of results) {
      expect([work, dtype]).toEqual(['softmax', 'float32']);
      expect([10, 2048]).toContain(elements);
      expect(elements).toBe(shape[0] * shape[1]);
      const { min, lowerQuartile, median, upperQuartile } = nanosecondsPerElement;
      const ascending = [0, min, lowerQuartile, median, upperQuartile];
      expect(ascending).toEqual([...ascending].sort((a, b) => a - b));
      expect(nanoseconds.median / elements).toBeCloseTo(median);
      expect(timesMemcpy).toBeGreaterThan(0);
      expect(rounds).toBeGreaterThanOrEqual(3);
    }
    expect(choice().name, 'the backend in force stays').toBe(name);
  });

  it('prints tables, of the backends asked for, within 80 columns', timeout, async () => {
    const { status, stdout } = await capture(['bench', '--backends', 'js', ...rows]);
    expect(status).toBe(0);
    const [, ...tables] = stdout.split('\n\n').map((part) =>
      part
        .trimEnd()
        .split('\n')
        .map((line) => line.trim().split(/ {2,}/)),
    );
    expect(tables.map(([, head]) => head)).toEqual([
      ['rows × cols', 'memcpy', 'loop', 'js'],
      ['rows × cols', 'loop', 'js'],
      ['rows × cols', 'js'],
    ]);
    for (const [, , ...lines] of tables) expect(lines.map(([shape]) => shape)).toEqual(['10', '2 × 1,024']);
    const all = await capture(['bench', ...rows]);
    for (const line of all.stdout.split('\n').slice(1)) expect(line.length).toBeLessThanOrEqual(80);
  });

  it('prepares each shape, and runs beside the others, what is in force', timeout, async () => {
    const found: string[] = [];
    const prepare: Work['prepare'] = ([n]) => {
      found.push(choice().name);
      return { elements: n!, run: () => {}, loop: undefined, moved: [new Float32Array(n!)] };
    };
    const work = { name: 'nothing', axes: ['N'], first: [], isByElement: true, prepare } as unknown as Work;
    const shapes = [[1], [2], [3]];
    const wanted = { work, shapes, dtype: 'float32', backends: undefined, peers: [], threads: 1, budget: 1 } as const;
    await measure(wanted, { stdout: process.stdout, stderr: { write: () => {} } });
    expect([...found, choice().name]).toEqual(Array(4).fill(choice().name));
  });

  it.each([
    ['log-softmax', '64'],
    ['log-sum-exp', '64'],
    ['cross-entropy', '3x64'],
    ['sample', '2x100'],
    ['top-k', '100'],
    ['route', '4x16'],
    ['attention', '2x8x4'],
    ['decode', '4x2x32x8'],
    ['head', '2x32x16'],
    ['nms', '20'],
  ])('measures %s, also of other types', timeout, async (work, shape) => {
    for (const dtype of ['', 'float16'].slice(0, ['attention', 'nms'].includes(work) ? 1 : 2)) {
      const type = dtype === '' ? [] : ['--dtype', dtype];
      const { status, stdout, stderr } = await capture(['bench', work, '--shape', shape, ...type, ...quick, '--json']);
      expect([status, stderr]).toEqual([0, '']);
      const { results } = JSON.parse(stdout);
      expect(results.at(0)).toMatchObject({ work, contender: 'memcpy' });
      expect(results.at(-1)).toMatchObject({ work, contender: 'automatic' });
    }
  });

  it('shows how far it is on a terminal, and clears that away', timeout, async () => {
    const args = ['bench', '--backends', 'js', '--shape', '10,1k', '--time', '1'];
    const { stdout, stderr } = await capture(args, { isTTY: true });
    expect(stderr).toMatch(/\r\x1b\[K[█░]{20} softmax 10 \(1 of 2\), \d+ s left/);
    expect(stderr).toMatch(/\r\x1b\[K$/);
    expect(stderr).not.toContain('\n');
    expect(stdout).not.toContain('\x1b');
  });

  it('holds to a number of threads, and sets it back', timeout, async () => {
    const before = setThreads(2);
    onTestFinished(() => void setThreads(before));
    const { stdout } = await capture(['bench', '--threads', '1', '--backends', 'js', ...rows]);
    expect(stdout).toMatch(/^[^\n]*; one thread; /);
    expect(setThreads(2)).toBe(before === 1 ? 1 : 2);
  });
});

it('writes Markdown, CSV, bars and a picture', timeout, async () => {
  const args = ['bench', '--backends', 'js', ...rows];
  const { stdout: md } = await capture([...args, '--format', 'md']);
  expect(md).toMatch(/^\| rows × cols \| memcpy \| loop \| js \|\n\| --- \| --: \| --: \| --: \|\n\| 10 \| /m);
  const { stdout: csv } = await capture([...args, '--format', 'csv']);
  const [head, ...lines] = csv.trimEnd().split('\n');
  expect(lines).toHaveLength(6);
  for (const line of lines) expect(line.split(',')).toHaveLength(head!.split(',').length);
  expect(lines[3]).toMatch(/^softmax,float32,2x1024,memcpy,2048,/);

  const file = join(temporaryDirectory(), 'bench.svg');
  const { stdout } = await capture([...args, '--chart', '--svg', file]);
  expect(stdout).toMatch(/^2 × 1,024, nanoseconds per element\n(memcpy| *\S+) +[█▏▎▍▌▋▊▉]+ +[\d.]+$/m);
  const svg = readFileSync(file, 'utf8');
  expect(svg.match(/<rect /g)).toHaveLength(6);
  expect(svg).toContain('prefers-color-scheme: dark');
});

it('compares with an earlier report, and says what is none', timeout, async () => {
  const args = ['bench', '--backends', 'js', '--shape', '10', ...quick];
  const file = join(temporaryDirectory(), 'base.json');
  const { stdout: report } = await capture([...args, '--json']);
  writeFileSync(file, report);
  const { stdout, stderr } = await capture([...args.with(4, '10,20'), '--compare', file]);
  expect(stderr).toBe('');
  expect(stdout).toMatch(/above 1 is slower than then\nrows × cols +js\n +10 +[\d.]+\n +20 +–\n$/);

  writeFileSync(file, report.replace(/"processor": "[^"]*"/, '"processor": "an abacus"'));
  expect((await capture([...args, '--compare', file])).stderr).toMatch(/is of another processor: an abacus\n$/);
  for (const bad of ['', '{}', '[1]', 'null', '{"results": [{"work": 1}]}']) {
    writeFileSync(file, bad);
    const { status, stderr: message } = await capture([...args, '--compare', file]);
    expect([status, message]).toEqual([
      1,
      expect.stringMatching(/^flash-softmax: Expected a report of bench [^\n]*\n$/),
    ]);
  }
});

describe('bench --peers', () => {
  /** A folder with a package of that name, whose module is this text; the command runs in it. */
  function inFolderWith(name: string, module: string): void {
    const folder = temporaryDirectory();
    mkdirSync(join(folder, 'node_modules', name), { recursive: true });
    writeFileSync(join(folder, 'node_modules', name, 'index.js'), module);
    const cwd = vi.spyOn(process, 'cwd').mockReturnValue(folder);
    onTestFinished(() => cwd.mockRestore());
  }

  it('runs what is installed, with the model and the rows that it expects', timeout, async () => {
    inFolderWith(
      'onnxruntime-node',
      `exports.Tensor = class { constructor(type, data, dims) { Object.assign(this, { type, data, dims }); } };
       exports.InferenceSession = { async create(model) {
         if (!Buffer.from(model).includes('Softmax')) throw new Error('no Softmax');
         return { async run({ x }, { y }) {
           if (x.dims.join() !== '2,16') throw new Error(x.dims);
           y.data.set(x.data); } };
       } };`,
    );
    const { status, stdout } = await capture(['bench', '--peers', '--shape', '2x16', ...quick, '--json']);
    expect(status).toBe(0);
    const { results } = JSON.parse(stdout);
    expect(results[2]).toMatchObject({ contender: 'onnxruntime', elements: 32 });
    expect((await capture(['bench', 'nms', '--peers', '--shape', '9', ...quick])).stdout).toMatch(/onnxruntime/);
  });

  it('says what to install where there is nothing', async () => {
    inFolderWith('other', '');
    const { status, stderr } = await capture(['bench', '--peers', ...rows]);
    expect([status, stderr]).toEqual([
      1,
      expect.stringMatching(/^flash-softmax: No package .* npm i onnxruntime-node /),
    ]);
  });
});

it.runIf(availableBackends().includes('scalar'))(
  'the reference sits out long rows, unless it is asked for',
  timeout,
  async () => {
    const long = ['--shape', '129k', ...quick];
    const all = await capture(['bench', ...long]);
    expect(all.stdout).toMatch(/^ *rows × cols .*scalar/m);
    expect(all.stdout).toMatch(/^ +132,096 .* – /m);
    const { results } = JSON.parse((await capture(['bench', ...long, '--json', '--backends', 'scalar'])).stdout);
    expect(results.map(({ contender }: { contender: string }) => contender)).toEqual(['memcpy', 'loop', 'scalar']);
  },
);

it('inTurns measures all functions alike', { timeout: 60_000 }, async () => {
  const calls = [0, 0];
  const wait = (milliseconds: number) => {
    const end = performance.now() + milliseconds;
    while (performance.now() < end);
  };
  const [short, long] = await inTurns([() => (calls[0]!++, wait(0.2)), () => (calls[1]!++, wait(2))], 200);
  expect(short!.rounds).toBe(long!.rounds);
  expect(short!.median).toBeGreaterThan(0.19);
  expect(long!.median).toBeGreaterThan(1.99);
  expect(short!.min).toBeLessThanOrEqual(short!.median);
  expect(calls[0]).toBeGreaterThanOrEqual(calls[1]!);
});

it('inTurns waits for promises', { timeout: 60_000 }, async () => {
  const [pause] = await inTurns([() => new Promise((done) => setTimeout(done, 3))], 100);
  expect(pause!.median).toBeGreaterThan(2);
});
