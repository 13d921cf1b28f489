/**
 * flash-softmax bench: times a piece of work on each backend of this machine, beside two known prices: a plain loop in
 * JavaScript, and a copy of what is read (memcpy), which runs at the speed of memory.
 */
import { availableBackends } from '../../backend/choice.js';
import { capabilities, setThreads } from '../../index.js';
import { count, names, oneName, positive, UsageError, type Command, type Given, type Io } from '../command.js';
import { writeWhole } from '../files.js';
import { table } from '../table.js';
import { readBase } from './compare.js';
import { measure, type Measured } from './field.js';
import { matrixWorks } from './matrices.js';
import { installedPeers } from './peers.js';
import { bars, csv, json, markdown, text } from './report.js';
import { rowWorks } from './rows.js';
import { svg } from './svg.js';
import { shapesOf, type Work } from './work.js';

const WORKS: readonly Work[] = [...rowWorks, ...matrixWorks];
const FORMATS = ['text', 'md', 'csv', 'json'] as const;
const TYPES = ['float32', 'float16', 'bfloat16', 'float64'] as const;

function workNamed(name: string): Work {
  const work = WORKS.find((each) => each.name === name);
  if (work) return work;
  throw new UsageError(`Expected one of ${WORKS.map((each) => each.name).join(', ')} but received '${name}'`);
}

/** Runs with so many threads, and sets back what was in force. */
async function withThreads<R>(threads: number | undefined, task: () => Promise<R>): Promise<R> {
  if (threads === undefined) return task();
  const before = setThreads(threads);
  try {
    return await task();
  } finally {
    setThreads(before);
  }
}

async function measured(given: Given, work: Work, io: Io): Promise<Measured> {
  const dtype = oneName(given, 'dtype', TYPES) ?? work.dtypes[0]!;
  if (!work.dtypes.includes(dtype)) {
    throw new UsageError(
      `Expected one of ${work.dtypes.join(', ')} for --dtype of ${work.name} but received '${dtype}'`,
    );
  }
  const shapes = shapesOf(work, given.get('shape'));
  const backends = given.has('backends') ? names(given, 'backends', availableBackends()) : undefined;
  const budget = positive(given, 'time', 12) * 1000;
  const threads = given.has('threads') ? count(given, 'threads', 1) : undefined;
  return withThreads(threads, async () => {
    const running = capabilities().threads;
    const peers = given.has('peers') ? await installedPeers(process.cwd(), running) : [];
    return measure({ work, shapes, dtype, backends, peers, threads: running, budget }, io);
  });
}

export const bench: Command = {
  name: 'bench',
  summary: 'Time of softmax or another work on each backend of this machine, beside a plain loop and a memcpy.',
  operand: '[WORK]',
  isOperandOptional: true,
  operands: WORKS.map((each) => each.name),
  options: {
    shape: { value: 'LIST', help: 'shapes, as in 1k,4096x1000; k is 1,024 and M 1,048,576' },
    dtype: { value: 'TYPE', help: TYPES.join(', ') },
    backends: { value: 'LIST', help: 'only these, as in avx2,js (default all, scalar where it is short)' },
    threads: { value: 'N', help: 'how many threads share the work' },
    time: { value: 'SECONDS', help: 'about how long to measure (default 12)' },
    peers: { help: 'beside onnxruntime-node, tfjs and transformers.js, where installed here' },
    chart: { help: 'bars behind the tables' },
    svg: { value: 'FILE', help: 'write the bars as a picture' },
    format: { value: 'FORMAT', help: `${FORMATS.join(', ')} (default text)` },
    json: { help: 'the same as --format json' },
    compare: { value: 'FILE', help: 'ratios to an earlier --format json' },
  },
  notes: `WORK, default softmax, and the shapes that are measured by default:

${table(
  'l',
  WORKS.map((work) => [`  ${work.name}`, work.summary]),
)}
${table(
  'l',
  WORKS.map(({ name, axes, shapes }) => [`  ${name}`, axes.join('x'), shapes]),
)}
--peers has softmax and log-softmax. A bar is a time: the shorter, the better.
`,
  async run(given, name, io) {
    const work = workNamed(name === '' ? 'softmax' : name);
    const format = given.has('json') ? 'json' : (oneName(given, 'format', FORMATS) ?? 'text');
    const older = given.get('compare');
    const base = older === undefined ? undefined : readBase(older, io.stderr);
    const found = await measured(given, work, io);
    const written = { text, md: markdown, csv, json }[format](found, base);
    io.stdout.write(given.has('chart') && format === 'text' ? `${written}\n${bars(found)}` : written);
    const file = given.get('svg');
    if (file !== undefined) writeWhole(file, [Buffer.from(svg(found))]);
    return 0;
  },
};
