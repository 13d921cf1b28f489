/** Who is timed in `bench`, and the timing: all contenders in turns on each shape. */
import { availableBackends, chosenBackend, inForce, runOn } from '../../backend/choice.js';
import type { BackendName } from '../../backend/backend.js';
import type { Io } from '../command.js';
import { inTurns, type Timing } from '../measure.js';
import { Progress } from '../progress.js';
import { fits } from '../rows.js';
import type { Peer } from './peers.js';
import { shapeText, type DType, type Numbers, type Shape, type Task, type Work } from './work.js';

export const MEMCPY = 'memcpy';
export const LOOP = 'loop';

export interface Line {
  readonly shape: Shape;
  readonly elements: number;
  /** By the names of the contenders; those that sit a shape out are missing. */
  readonly timings: ReadonlyMap<string, Timing>;
}

export interface Measured {
  readonly work: Work;
  readonly dtype: DType;
  readonly threads: number;
  /** The names of all contenders, the yardsticks first. */
  readonly field: readonly string[];
  readonly lines: readonly Line[];
}

export interface Wanted {
  readonly work: Work;
  readonly shapes: readonly Shape[];
  readonly dtype: DType;
  /** Undefined: all, and beside them the one that is in force. */
  readonly backends: readonly BackendName[] | undefined;
  readonly peers: readonly Peer[];
  readonly threads: number;
  /** Milliseconds. */
  readonly budget: number;
}

type Run = () => unknown;

/** Contenders by their names; undefined where one cannot run in good time. */
type Field = ReadonlyMap<string, Run | undefined>;

function copyOf(moved: readonly Numbers[]): Run {
  const copies = moved.map((each) => [each, each.slice()] as const);
  return () => {
    for (const [from, to] of copies) to.set(from);
  };
}

async function fieldOf(task: Task, { work, backends, peers }: Wanted): Promise<Field> {
  const field = new Map<string, Run | undefined>([
    [MEMCPY, copyOf(task.moved)],
    [LOOP, task.loop],
  ]);
  for (const peer of peers) field.set(peer.name, task.rows && (await peer.prepare(work.name, task.rows)));
  const automatic = inForce();
  for (const name of [...(backends ?? availableBackends())].reverse()) {
    const chosen = chosenBackend(name);
    const mayRun = backends !== undefined || fits({ name }, task.elements);
    field.set(name, mayRun ? () => (runOn(chosen), task.run()) : undefined);
  }
  if (backends === undefined) field.set('automatic', () => (runOn(automatic), task.run()));
  return field;
}

/** Times all contenders on each shape. Throws what a contender throws. */
export async function measure(wanted: Wanted, { stderr }: Io): Promise<Measured> {
  const { work, shapes, dtype, threads, budget } = wanted;
  const progress = new Progress(stderr);
  const automatic = inForce();
  const start = performance.now();
  const end = start + budget;
  const lines: Line[] = [];
  let field: readonly string[] = [];
  try {
    for (const [i, shape] of shapes.entries()) {
      const step = `${work.name} ${shapeText(work, shape)} (${i + 1} of ${shapes.length})`;
      progress.show(step);
      runOn(automatic); // another one ran last
      const task = work.prepare(shape, dtype);
      const all = await fieldOf(task, wanted);
      field = [...all.keys()];
      const running = [...all].filter((entry): entry is [string, Run] => entry[1] !== undefined);
      const from = performance.now();
      const share = Math.max(0, end - from) / (shapes.length - i);
      const tell = (part: number): void => {
        const done = (i + part) / shapes.length;
        progress.bar(step, done, (performance.now() - start) * (1 / done - 1));
      };
      const found = await inTurns(
        running.map(([, run]) => run),
        share,
        tell,
      );
      const timings = new Map(running.map(([name], at) => [name, found[at]!]));
      lines.push({ shape, elements: task.elements, timings });
    }
  } finally {
    runOn(automatic);
    progress.clear();
  }
  return { work, dtype, threads, field, lines };
}
