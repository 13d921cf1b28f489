/** Attention, output heads and boxes, for `bench`. */
import { attention, decodeAttention, KVCache } from '../../attention.js';
import { nms } from '../../detection.js';
import { OutputHead } from '../../head.js';
import { attentionLoop, headLoop, nmsLoop, type HeadsShape } from './loops.js';
import { emptyOf, normal, unlessLong, type DType, type Shape, type Task, type Work } from './work.js';

const floats = (length: number, deviation = 1): Float32Array => normal(length, 'float32', deviation) as Float32Array;

function promptTask([heads, tokens, headDim]: Shape): Task {
  const n = heads! * tokens! * headDim!;
  const [q, k, v, out] = [floats(n), floats(n), floats(n), new Float32Array(n)];
  const shape = { heads: heads!, kvHeads: heads!, headDim: headDim!, queries: tokens!, keys: tokens! };
  return {
    elements: n,
    run: () => void attention(q, k, v, { heads: heads!, headDim: headDim!, causal: true, out }),
    loop: unlessLong(n * tokens!, () => attentionLoop({ q, k, v, out }, shape)),
    moved: [q, k, v],
  };
}

function decodeTask([heads, kvHeads, keys, headDim]: Shape, dtype: DType): Task {
  const shape: HeadsShape = { heads: heads!, kvHeads: kvHeads!, headDim: headDim!, queries: 1, keys: keys! };
  const n = shape.kvHeads * shape.keys * shape.headDim;
  const [k, v, q] = [floats(n), floats(n), floats(shape.heads * shape.headDim)];
  const out = new Float32Array(q.length);
  const cache = new KVCache({ kvHeads: shape.kvHeads, headDim: shape.headDim, dtype: dtype as 'float32' });
  const sequence = cache.create();
  cache.append(sequence, k, v, { layout: 'hsd' });
  const stored = emptyOf(n, dtype);
  return {
    elements: 2 * n,
    run: () => void decodeAttention(q, cache, [sequence], { out }),
    loop: unlessLong(2 * n * (shape.heads / shape.kvHeads), () => attentionLoop({ q, k, v, out }, shape)),
    moved: [stored, stored],
  };
}

function headTask([states, rows, cols]: Shape, dtype: DType): Task {
  const weights = normal(rows! * cols!, dtype, 0.1) as Float32Array | Uint16Array;
  const head = new OutputHead(weights, { rows: rows!, cols: cols!, format: dtype as 'float32' });
  const [hidden, out] = [floats(states! * cols!), new Float32Array(states! * rows!)];
  const plain = weights instanceof Float32Array ? weights : floats(weights.length, 0.1);
  return {
    elements: weights.length,
    run: () => void head.logits(hidden, { out }),
    loop: unlessLong(states! * weights.length, () => headLoop(plain, hidden, out, cols!)),
    moved: [weights],
  };
}

function boxesTask([n]: Shape): Task {
  const centres = floats(2 * n!, 160);
  const sizes = floats(2 * n!, 40);
  const boxes = Float32Array.from({ length: 4 * n! }, (_, i) => {
    const axis = 2 * (i >> 2) + (i & 1);
    return 320 + centres[axis]! + (i & 2 ? 0.5 : -0.5) * (20 + Math.abs(sizes[axis]!));
  });
  const scores = floats(n!).map((x) => 1 / (1 + Math.exp(-x)));
  return {
    elements: n!,
    run: () => void nms(boxes, scores, { iouThreshold: 0.5 }),
    loop: unlessLong(n! * n!, () => void nmsLoop(boxes, scores, 0.5)),
    moved: [boxes],
  };
}

export const matrixWorks: readonly Work[] = [
  {
    name: 'attention',
    summary: 'causal attention of a prompt',
    axes: ['HEADS', 'TOKENS', 'SIZE'],
    first: [],
    shapes: '12x128x64,12x512x64,32x512x128',
    dtypes: ['float32'],
    isByElement: false,
    prepare: promptTask,
  },
  {
    name: 'decode',
    summary: 'attention of one query over a KVCache',
    axes: ['HEADS', 'KVHEADS', 'KEYS', 'SIZE'],
    first: [],
    shapes: '32x8x512x128,32x8x2048x128,32x8x8192x128',
    dtypes: ['float32', 'float16', 'bfloat16'],
    isByElement: false,
    prepare: decodeTask,
  },
  {
    name: 'head',
    summary: 'hidden states to logits',
    axes: ['STATES', 'CLASSES', 'SIZE'],
    first: [1],
    shapes: '1x32000x1024,4x32000x1024,8x32000x1024',
    dtypes: ['bfloat16', 'float16', 'float32'],
    isByElement: false,
    prepare: headTask,
  },
  {
    name: 'nms',
    summary: 'non-maximum suppression of boxes',
    axes: ['BOXES'],
    first: [],
    shapes: '100,1000,8400',
    dtypes: ['float32'],
    isByElement: false,
    prepare: boxesTask,
  },
];
