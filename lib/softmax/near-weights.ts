/** Sums Σ w · exp(z / T) of rows whose weights lie within 2^±450: probabilities, and their dot products. */
import { MASK_BYTES, MASK_NONE, MASK_ROW_BYTES, NO_EXPONENT, type KernelArray } from '../backend/backend.js';
import { backendFor } from '../backend/choice.js';
import { counts, isShared } from '../backend/masks.js';
import { EXP_SUM, NORMALIZE } from '../backend/operators.js';
import { copyInto, lengthOf, viewOf } from '../call/arrays.js';
import type { AxisCall } from '../call/axis.js';
import { callOf } from '../call/call.js';
import { wrongValue } from '../call/errors.js';
import { scratchLike } from '../call/memory.js';
import type { Form } from '../call/options.js';
import type { Steps } from '../call/steps.js';
import type { NewFloat64Array } from '../call/types.js';
import { expSumKernels } from '../js/softmax/exp-sum.js';
import { normalizeKernels } from '../js/softmax/normalize.js';
import { doublesOf, readerOf } from '../math/read.js';

export type Weights = Float32Array | Float64Array;

/** A sum a row, as a size mantissa · 2^exponent and a sign. */
export interface SignedSums {
  readonly mantissa: Float64Array;
  readonly exponent: Int32Array;
  readonly sign: NewFloat64Array;
}

/** Where the logits, biases and masks of a call are: a caller's arrays, or for a promise copies of them. */
export type Source = Pick<AxisCall['args'], 'x' | 'bias' | 'mask'> & { readonly type: string };

/** Weights, and what one reading of them has shown. */
export interface MeasuredWeights {
  readonly of: Weights;
  /** Whether no element that counts may be lost below the range of a double, beside one of a smaller weight. */
  readonly areNear: boolean;
  readonly haveZero: boolean;
  /** The first one that is not finite, or −1. */
  readonly bad: number;
}

/** Weights that are near one another, or 0. */
export type Band = Pick<MeasuredWeights, 'of' | 'haveZero'>;

export function measured(weights: Weights): MeasuredWeights {
  let least = Infinity;
  let most = 0;
  let haveZero = false;
  let bad = -1;
  for (let i = lengthOf(weights) - 1; i >= 0; i--) {
    const size = Math.abs(weights[i]!);
    if (size > most) most = size;
    if (size === 0) haveZero = true;
    else if (size < least) least = size;
    if (!(size < Infinity)) bad = i;
  }
  return { of: weights, areNear: most <= 2 ** 450 && (most === 0 || least >= 2 ** -450), haveZero, bad };
}

/** Logits that are computed at once where nobody waits: their copies stay in the processor's cache. */
const SLAB = 2 ** 16;

/** The sums of all rows. */
export function* nearSums(
  form: Form,
  call: AxisCall,
  source: Source,
  { of: weights, haveZero }: Band,
): Steps<SignedSums> {
  const { outer, cols, inner, maskLayout } = call.args;
  const sums = {
    mantissa: new Float64Array(outer * inner),
    exponent: new Int32Array(outer * inner),
    sign: new Float64Array(outer * inner),
  };
  const step = form === 'later' ? outer : Math.max(1, Math.floor(SLAB / (cols * inner)));
  const isShort = (array: ArrayBufferView | null): boolean => array === null || lengthOf(array) === cols;
  const hasOneMask = (source.mask === null || isShared(maskLayout)) && (isShort(weights) || !haveZero);
  const shared = {
    bias: source.bias !== null && isShort(source.bias) ? doublesOf(source.bias, source.type) : null,
    masked: hasOneMask ? sharedMask(call, source, haveZero ? weights : null) : undefined,
  };
  for (let o = 0; o < outer; o += step) {
    const size = cols * inner;
    const range = [o * size, Math.min(o + step, outer) * size] as const;
    const slab = slabOf(form, call, { source, weights, range, shared });
    yield* sumSlab(call, slab, o * inner);
    addSlab(sums, slab, { weights, first: range[0], cols, inner, row: o * inner, source, maskLayout });
  }
  return sums;
}

interface Shared {
  readonly bias: Float64Array | null;
  readonly masked: Masked | undefined;
}

interface Place {
  readonly source: Source;
  readonly weights: Weights;
  readonly range: readonly [from: number, to: number];
  readonly shared: Shared;
}

/** The arguments of both kernels for some outer indices. */
function slabOf(form: Form, call: AxisCall, { source, weights, range, shared }: Place) {
  const { cols, inner, temperature } = call.args;
  const [from, to] = range;
  const n = to - from;
  const x = form === 'later' ? (source.x as Float64Array) : viewOf(scratchLike(sample, n) as Float64Array, 0, n);
  if (form === 'now') widenInto(x, viewOf(source.x, from, to), source.type);
  const hasOwnBias = source.bias !== null && shared.bias === null;
  const { mask, maskLayout } = shared.masked ?? maskOf(call, source, weights, range);
  return {
    x,
    mantissa: new Float64Array(n / cols),
    exponent: new Int32Array(n / cols),
    p: form === 'later' ? new Float64Array(n) : x,
    outer: n / (cols * inner),
    ...{ cols, inner, temperature, mask, maskLayout },
    bias: hasOwnBias ? doublesOf(viewOf(source.bias!, from, to), source.type) : shared.bias,
  };
}

type Slab = ReturnType<typeof slabOf>;

const sample = /* @__PURE__ */ new Float64Array(0);

function widenInto(to: Float64Array, x: KernelArray, type: string): void {
  if (type === 'f32' || type === 'f64') return copyInto(to, x);
  const read = readerOf(x, type);
  for (let i = 0; i < to.length; i++) to[i] = read(i);
}

interface Masked {
  readonly mask: Uint8Array | null;
  readonly maskLayout: number;
}

/** The mask that all rows share: where a position counts and has a weight. */
function sharedMask({ args }: AxisCall, { mask }: Source, weights: Weights | null): Masked {
  const { cols, maskLayout } = args;
  if (weights === null) return { mask, maskLayout: mask === null ? MASK_NONE : maskLayout };
  const visible = new Uint8Array(cols);
  for (let c = 0; c < cols; c++) visible[c] = +(weights[c] !== 0 && (mask === null || counts(mask, maskLayout, c, c)));
  return { mask: visible, maskLayout: MASK_ROW_BYTES };
}

/** A mask of the elements of a range that count and have a weight. */
function maskOf({ args }: AxisCall, { mask }: Source, weights: Weights, [from, to]: Place['range']): Masked {
  const { cols, inner, maskLayout } = args;
  const visible = new Uint8Array(to - from);
  const isOfRow = lengthOf(weights) === cols;
  for (let i = from; i < to; i++) {
    const column = Math.floor(i / inner) % cols;
    const weight = weights[isOfRow ? column : i]!;
    visible[i - from] = +(weight !== 0 && (mask === null || counts(mask, maskLayout, i, column)));
  }
  return { mask: visible, maskLayout: MASK_BYTES };
}

/** Computes the sums of a slab, and exp(z / T) over them into `p`. */
function* sumSlab(call: AxisCall, slab: Slab, firstRow: number): Steps<void> {
  const { p, mantissa, exponent, ...rest } = slab;
  const common = { type: 'f64', work: slab.x.length } as const;
  const own = ['x', 'mantissa', 'exponent', 'mask'] as const;
  yield callOf(EXP_SUM, {
    ...common,
    backend: backendFor(call.elements, expSumKernels),
    args: { ...rest, mantissa, exponent },
    own: rest.mask === null ? own.slice(0, 3) : own,
    finish() {
      const beyond = exponent.indexOf(NO_EXPONENT);
      if (beyond < 0) return;
      throw wrongValue('logits within 1.48e9 temperatures', `row ${firstRow + beyond} of x`, 'larger ones');
    },
  });
  yield callOf(NORMALIZE, {
    ...common,
    backend: backendFor(call.elements, normalizeKernels),
    args: { ...rest, mantissa, exponent, out: p },
    own: rest.mask === null ? ['x', 'mantissa', 'exponent', 'out'] : ['x', 'mantissa', 'exponent', 'mask', 'out'],
    finish: () => undefined,
  });
}

interface Slice {
  readonly weights: Weights;
  readonly first: number;
  readonly cols: number;
  readonly inner: number;
  readonly row: number;
  readonly source: Source;
  readonly maskLayout: number;
}

function addSlab(sums: SignedSums, slab: Slab, slice: Slice): void {
  const { weights, first, cols, inner, row } = slice;
  const isOfRow = lengthOf(weights) === cols;
  const weightStep = isOfRow ? 1 : inner;
  for (let r = 0; r < slab.mantissa.length; r++) {
    if (slab.mantissa[r] === 0) continue; // nothing counts, and p is NaN
    const start = Math.floor(r / inner) * cols * inner + (r % inner);
    if (!Number.isFinite(slab.mantissa[r])) {
      sums.mantissa[row + r] = Math.abs((sums.sign[row + r] = infiniteSum(slice, first + start)));
      sums.sign[row + r] = Math.sign(sums.sign[row + r]!);
      continue;
    }
    const places = { at: start, step: inner, weightAt: isOfRow ? 0 : first + start, weightStep, n: cols };
    const dot = dotOf(slab.p, weights, places);
    sums.sign[row + r] = Math.sign(dot);
    sums.mantissa[row + r] = Math.abs(dot) * slab.mantissa[r]!;
    sums.exponent[row + r] = dot === 0 ? 0 : slab.exponent[r]!;
  }
}

/** The sum of a row with a NaN or a +∞: ±∞, or NaN if infinities of both signs meet. */
function infiniteSum({ weights, cols, inner, source, maskLayout }: Slice, start: number): number {
  const read = readerOf(source.x, source.type);
  const biasOf = source.bias === null ? () => 0 : readerOf(source.bias, source.type);
  const isBiasOfRow = source.bias !== null && lengthOf(source.bias) === cols;
  const isOfRow = lengthOf(weights) === cols;
  let sum = 0;
  for (let c = 0, i = start; c < cols; c++, i += inner) {
    const weight = weights[isOfRow ? c : i]!;
    if (weight === 0 || (source.mask !== null && !counts(source.mask, maskLayout, i, c))) continue;
    const z = read(i) + biasOf(isBiasOfRow ? c : i);
    if (!(z < Infinity)) sum += z * weight;
  }
  return sum;
}

interface Places {
  readonly at: number;
  readonly step: number;
  readonly weightAt: number;
  readonly weightStep: number;
  readonly n: number;
}

/** Products that are added before their sum joins the row's, which carries its roundings along. */
const BLOCK = 64;

/** Σ w · p. Max error: 2^-48 of Σ |w| · p. */
function dotOf(p: Float64Array, weights: Weights, { at, step, weightAt, weightStep, n }: Places): number {
  const isContiguous = step === 1 && weightStep === 1;
  let sum = 0;
  let low = 0;
  for (let from = 0; from < n; from += BLOCK) {
    const length = Math.min(BLOCK, n - from);
    const start = at + from * step;
    const weightStart = weightAt + from * weightStep;
    const part = isContiguous
      ? contiguousDot(p, weights, start, weightStart, length)
      : stridedDot(p, weights, { at: start, step, weightAt: weightStart, weightStep, n: length });
    const next = sum + part;
    const ofPart = next - sum;
    low += sum - (next - ofPart) + (part - ofPart);
    sum = next;
  }
  return sum + low;
}

/** Four chains of additions, which a processor runs at once. */
function contiguousDot(p: Float64Array, weights: Weights, at: number, weightAt: number, n: number): number {
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  let i = 0;
  for (; i + 3 < n; i += 4) {
    a += p[at + i]! * weights[weightAt + i]!;
    b += p[at + i + 1]! * weights[weightAt + i + 1]!;
    c += p[at + i + 2]! * weights[weightAt + i + 2]!;
    d += p[at + i + 3]! * weights[weightAt + i + 3]!;
  }
  for (; i < n; i++) a += p[at + i]! * weights[weightAt + i]!;
  return a + b + (c + d);
}

function stridedDot(p: Float64Array, weights: Weights, { at, step, weightAt, weightStep, n }: Places): number {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += p[at + i * step]! * weights[weightAt + i * weightStep]!;
  return sum;
}
