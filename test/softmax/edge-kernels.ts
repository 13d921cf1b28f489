/** The row operators of one backend on any element type, in place as well, for test/softmax/edge-table.test.ts. */
import { NO_EXPONENT, type BackendName } from '../../lib/backend/backend.js';
import { backendNamed } from '../../lib/backend/named.js';
import type { TypeName } from './edge-values.js';
import { floatsOf, halvesOf } from '../support/halves.js';

type Elements = Float32Array | Float64Array | Uint16Array;

/** Numbers as elements of a type, and back. */
export function encode(type: TypeName, values: readonly number[]): Elements {
  if (type === 'f32') return Float32Array.from(values);
  return type === 'f64' ? Float64Array.from(values) : halvesOf(type, Float64Array.from(values));
}
export function decode(type: TypeName, x: Elements): number[] {
  return Array.from(x instanceof Uint16Array ? floatsOf(type as 'f16' | 'bf16', x) : x);
}

/** The tensor of a call, [outer, cols, inner], and its options. */
export interface EdgeCall {
  readonly type: TypeName;
  readonly x: Elements;
  readonly shape: readonly [outer: number, cols: number, inner: number];
  readonly temperature: number;
  readonly mask: Uint8Array | null;
  readonly layout: number;
  readonly bias: Elements | null;
}

export interface EdgeResults {
  readonly softmax: Elements;
  readonly logSoftmax: Elements;
  readonly logSumExp: Float64Array;
  readonly loss: Float64Array;
  readonly gradient: Elements;
  readonly mantissa: Float64Array;
  readonly exponent: Int32Array;
  /** Null if the exponents of the states do not fit 32 bits. */
  readonly normalize: Elements | null;
}

const bytes = (x: NodeJS.ArrayBufferView): Buffer => Buffer.from(x.buffer, x.byteOffset, x.byteLength);
export const sameBits = (a: NodeJS.ArrayBufferView, b: NodeJS.ArrayBufferView): boolean => bytes(a).equals(bytes(b));

type Kernel = (...args: unknown[]) => void;

function kernelsOf(name: BackendName, type: TypeName): (operator: string) => Kernel {
  const backend = backendNamed(name) as unknown as Record<string, Kernel>;
  return (operator) => backend[`${operator}_${type}`]!;
}

/** Runs all operators, and in place where that is allowed; calls `differs` if the result in place differs. */
export function runAll(
  name: BackendName,
  call: EdgeCall,
  target: number,
  differs: (operator: string) => void,
): EdgeResults {
  const { type, x, shape, temperature, mask, layout, bias } = call;
  const kernel = kernelsOf(name, type);
  const rest = [...shape, temperature, mask, layout, bias];
  const rows = shape[0] * shape[2];
  const map = (operator: string, ...state: unknown[]): Elements => {
    const [out, inPlace] = [x.slice().fill(7), x.slice()];
    kernel(operator)(x, out, ...state, ...rest);
    kernel(operator)(inPlace, inPlace, ...state, ...rest);
    if (!sameBits(out, inPlace)) differs(operator);
    return out;
  };
  const logSumExp = new Float64Array(rows);
  kernel('log_sum_exp')(x, logSumExp, ...rest);
  const targets = new Int32Array(rows).fill(target);
  const [loss, gradient, inPlace] = [new Float64Array(rows), x.slice().fill(7), x.slice()];
  kernel('cross_entropy')(inPlace, targets, loss, inPlace, ...rest);
  kernel('cross_entropy')(x, targets, loss, gradient, ...rest);
  if (!sameBits(gradient, inPlace)) differs('cross_entropy');
  const [mantissa, exponent] = [new Float64Array(rows), new Int32Array(rows)];
  kernel('exp_sum')(x, mantissa, exponent, ...rest);
  const fits = !exponent.includes(NO_EXPONENT);
  return {
    softmax: map('softmax'),
    logSoftmax: map('log_softmax'),
    logSumExp,
    loss,
    gradient,
    mantissa,
    exponent,
    normalize: fits ? map('normalize', mantissa, exponent) : null,
  };
}

/** softmaxBackward, also in place of y. */
export function runBackward(
  name: BackendName,
  call: EdgeCall,
  dy: Elements,
  differs: (operator: string) => void,
): Elements {
  const { type, x, shape, temperature, mask, layout } = call;
  const kernel = kernelsOf(name, type)('softmax_backward');
  const [out, inPlace] = [x.slice().fill(7), x.slice()];
  kernel(x, dy, out, 0, ...shape, temperature, mask, layout);
  kernel(inPlace, dy, inPlace, 0, ...shape, temperature, mask, layout);
  if (!sameBits(out, inPlace)) differs('softmax_backward');
  return out;
}
