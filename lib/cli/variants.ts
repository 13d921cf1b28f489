/**
 * Examines bits that must not depend on the native backend, the plan, the number of threads, or the alignment of a row;
 * and the sum of a very long row, where an error that grows with the length would show.
 */
import type { Backend, BackendName } from '../backend/backend.js';
import type { Addon, Plan } from '../backend/native.js';
import { sameBits, sumError, type Floats, type Type } from './examine.js';
import { fill, fits } from './rows.js';

/** A result with other bits than the first one: of the first native backend, on one thread, storing and scaling. */
export interface Difference {
  readonly backend: BackendName;
  readonly type: Type;
  readonly rows: number;
  readonly cols: number;
  readonly plan: string;
  readonly threads: number;
  /** Elements of the buffer before the row. */
  readonly offset: number;
}

export interface Variants {
  readonly compared: number;
  readonly threads: readonly number[];
  readonly differences: readonly Difference[];
}

const never = { twoPassBytes: Infinity, streamBytes: Infinity };
const PLANS = {
  stored: never,
  'read twice': { ...never, twoPassBytes: 0 },
  streamed: { twoPassBytes: 0, streamBytes: 0 },
};
const ALIGNMENTS = 16;
// Rows with tails of vectors and of blocks, at every alignment.
const ALIGNED = [
  [1, 333],
  [1, 20_001],
] as const;
// Calls long enough to be shared among threads, as one row and as many.
const SHARED = [
  [1, 600_011],
  [700, 100],
] as const;

/** 1, 2, 3, 4, 8, 16 … below `most`, and `most`. */
export function threadCounts(most: number): number[] {
  const counts = [1, 2, 3];
  for (let n = 4; n < most; n *= 2) counts.push(n);
  return [...counts.filter((n) => n < most), most];
}

/** A new array that begins `offset` elements behind the beginning of its buffer. */
function arrayAt(like: Floats, length: number, offset: number): Floats {
  const all = like instanceof Float32Array ? new Float32Array(length + offset) : new Float64Array(length + offset);
  return all.subarray(offset);
}

function softmaxOn(backend: Backend, x: Floats, rows: number, offset: number): Floats {
  const out = arrayAt(x, x.length, offset);
  const [cols, inner, temperature] = [x.length / rows, 1, 1];
  if (x instanceof Float32Array) {
    backend.softmax_f32(x, out as Float32Array, rows, cols, inner, temperature, null, 0, null);
  } else {
    backend.softmax_f64(x, out as Float64Array, rows, cols, inner, temperature, null, 0, null);
  }
  return out;
}

/** Compares native backends under all plans and threads of the addon; restores the plan and threads in force. */
export function examineVariants(
  backends: readonly Backend[],
  addon: Pick<Addon, 'plan' | 'threads'>,
  tell: (backend: BackendName, type: Type) => void = () => {},
): Variants {
  const inForce = { ...addon.plan(), threads: addon.threads() };
  const threads = threadCounts(inForce.threads);
  const differences: Difference[] = [];
  let compared = 0;
  const use = ({ twoPassBytes, streamBytes, parallelBytes }: Plan, n: number) => {
    addon.plan(twoPassBytes, streamBytes, parallelBytes);
    addon.threads(n);
  };
  try {
    for (const type of ['f32', 'f64'] as const) {
      for (const [rows, cols] of [...ALIGNED, ...SHARED]) {
        const x = fill(type === 'f32' ? new Float32Array(rows * cols) : new Float64Array(rows * cols), 'N(0,8)', cols);
        const isShared = rows * cols > 50_000;
        let wanted: Floats | undefined;
        for (const backend of backends) {
          tell(backend.name, type);
          for (const [plan, thresholds] of Object.entries(PLANS)) {
            for (const n of isShared ? threads : [1]) {
              use({ ...thresholds, parallelBytes: n === 1 ? Infinity : 0 }, n);
              for (let offset = 0; offset < (isShared ? 1 : ALIGNMENTS); offset++) {
                const input = arrayAt(x, x.length, offset);
                input.set(x);
                const y = softmaxOn(backend, input, rows, (5 * offset) % ALIGNMENTS); // in and out apart from one another
                wanted ??= y;
                compared++;
                if (!sameBits(wanted, y))
                  differences.push({ backend: backend.name, type, rows, cols, plan, threads: n, offset });
              }
            }
          }
        }
      }
    }
  } finally {
    use(inForce, inForce.threads);
  }
  return { compared, threads, differences };
}

export const LONG_ROW = 1e7;

export interface LongSum {
  readonly backend: BackendName;
  readonly kind: string;
  readonly sumError: number;
}

/** |sum − 1| of a row of ten million, for each backend. */
export function examineSums(backends: readonly Backend[], tell: (backend: BackendName) => void = () => {}): LongSum[] {
  const x = fill(new Float32Array(LONG_ROW), 'N(0,1)', 1);
  const found: LongSum[] = [];
  for (const kind of ['N(0,1)', 'N(0,3)']) {
    if (kind === 'N(0,3)') for (let i = 0; i < x.length; i++) x[i]! *= 3;
    for (const backend of backends.filter((each) => fits(each, LONG_ROW))) {
      tell(backend.name);
      found.push({ backend: backend.name, kind, sumError: sumError(softmaxOn(backend, x, 1, 0)) });
    }
  }
  return found;
}
