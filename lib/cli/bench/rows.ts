/** Operators of rows of logits, for `bench`. */
import { crossEntropy, logSoftmax, logSumExp, softmax } from '../../index.js';
import { route } from '../../routing.js';
import { sample, topK } from '../../sampling.js';
import { logSoftmaxLoop, logSumLoop, sampleLoop, softmaxLoop, topLoop } from './loops.js';
import { dtypeOption, emptyOf, normal, unlessLong, type DType, type Numbers, type Task, type Work } from './work.js';

/** Rows N(0,8), as those of language models are. */
const DEVIATION = 8;
const LENGTHS = '10,100,1k,32k,128256,1M,16M'; // 128,256 is the vocabulary of a language model
const ALL_TYPES = ['float32', 'float16', 'bfloat16', 'float64'] as const;

interface Rows {
  readonly x: Numbers;
  readonly rows: number;
  readonly cols: number;
  readonly dtype: 'float16' | 'bfloat16' | undefined;
  /** The same as options; made once, as V8 takes longer to spread an object than to do a short row. */
  readonly options: { readonly cols: number; readonly dtype?: 'float16' | 'bfloat16' };
  readonly withOut: Rows['options'] & { readonly out: Numbers };
}

/** What a program calls, and the loop that a person would write, which is one of floats. */
interface Calls {
  run(arrays: Rows): void;
  loop(x: Float32Array, out: Float32Array, cols: number): void;
}

function taskOf({ run, loop }: Calls, [rows, cols]: readonly number[], dtype: DType): Task {
  const n = rows! * cols!;
  const [x, out] = [normal(n, dtype, DEVIATION), emptyOf(n, dtype)];
  const options = { cols: cols!, ...dtypeOption(dtype) };
  const arrays = { x, rows: rows!, cols: cols!, dtype: options.dtype, options, withOut: { ...options, out } };
  const floats = (dtype === 'float32' ? x : normal(n, 'float32', DEVIATION)) as Float32Array;
  const results = dtype === 'float32' ? (out as Float32Array) : new Float32Array(n);
  return {
    elements: n,
    run: () => run(arrays),
    loop: unlessLong(n, () => loop(floats, results, cols!)),
    moved: [x],
    rows: { x: floats, cols: cols! },
  };
}

const ofRows = (name: string, summary: string, calls: Calls, more: Partial<Work> = {}): Work => ({
  name,
  summary,
  axes: ['ROWS', 'COLS'],
  first: [1],
  shapes: LENGTHS,
  dtypes: ALL_TYPES,
  isByElement: true,
  prepare: (shape, dtype) => taskOf(calls, shape, dtype),
  ...more,
});

const SAMPLING = { temperature: 0.8, topK: 50, topP: 0.9 };
const EXPERTS = 8; // of a token
let step = 0; // a number for each call that draws

export const rowWorks: readonly Work[] = [
  ofRows('softmax', 'probabilities of rows of logits', {
    run: ({ x, withOut }) => void softmax(x, withOut),
    loop: softmaxLoop,
  }),
  ofRows('log-softmax', 'log-probabilities of rows of logits', {
    run: ({ x, withOut }) => void logSoftmax(x, withOut),
    loop: logSoftmaxLoop,
  }),
  ofRows('log-sum-exp', 'log Σ exp of rows of logits', {
    run: ({ x, options }) => void logSumExp(x, options),
    loop: (x, out, cols) => void logSumLoop(x, out, cols),
  }),
  ofRows('cross-entropy', 'losses of rows of logits', {
    run: ({ x, rows, options }) => void crossEntropy(x, targetsOf(rows), options),
    loop: (x, out, cols) => void logSumLoop(x, out, cols, targetsOf(x.length / cols)),
  }),
  ofRows(
    'sample',
    `a token of each row: temperature ${SAMPLING.temperature}, top-k ${SAMPLING.topK}, top-p ${SAMPLING.topP}`,
    {
      run: ({ x, cols, dtype }) => void sample(x, { cols, dtype, ...SAMPLING, seed: 1, step: step++ }),
      loop: (x, _, cols) => void sampleLoop(x, cols, SAMPLING),
    },
    { shapes: '32k,128256,16x128256', isByElement: false },
  ),
  ofRows(
    'top-k',
    'the 50 largest logits of each row',
    {
      run: ({ x, cols, options }) => void topK(x, Math.min(50, cols), options),
      loop: (x, _, cols) => void topLoop(x, cols, 50),
    },
    { shapes: '1k,32k,128256,1M', isByElement: false },
  ),
  ofRows(
    'route',
    `${EXPERTS} experts for each token, with their weights`,
    {
      run: ({ x, cols, dtype }) => void route(x as Float32Array, { experts: cols, k: Math.min(EXPERTS, cols), dtype }),
      loop: (x, out, cols) => (softmaxLoop(x, out, cols), void topLoop(out, cols, EXPERTS)),
    },
    {
      axes: ['TOKENS', 'EXPERTS'],
      shapes: '1x256,64x256,4096x256',
      dtypes: ['float32', 'float16', 'bfloat16'],
      isByElement: false,
    },
  ),
];

let targets = new Uint32Array(0);
/** The first class of each row. */
function targetsOf(rows: number): Uint32Array {
  if (targets.length !== rows) targets = new Uint32Array(rows);
  return targets;
}
