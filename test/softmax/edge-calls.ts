/** Bounds of the edge tests, and the calls that they make of one row. */
import type { Interval } from './edge-oracle.js';
import { encode, type EdgeCall } from './edge-kernels.js';
import type { TypeName } from './edge-values.js';
import { packedBits } from '../support/cases.js';

/** The promised bounds in ULP. A half type's result is a float32 result, rounded once more. */
export const bounds = {
  f32: { softmax: 2.3, log: 1, gradient: 3, normalize: 3 },
  f64: { softmax: 2.3, log: 3, gradient: 4, normalize: 4 },
  f16: { softmax: 0.51, log: 0.51, gradient: 0.51, normalize: 0.51 },
  bf16: { softmax: 0.51, log: 0.51, gradient: 0.51, normalize: 0.51 },
} as const;

export interface EdgeCase {
  readonly what: string;
  readonly type: TypeName;
  readonly x: readonly number[];
  readonly bias: readonly number[] | null;
  readonly keep: readonly boolean[];
  readonly isMasked: boolean;
  readonly temperature: number;
}

export const fits = (v: number, { low, high }: Interval): boolean =>
  Number.isNaN(low) ? Number.isNaN(v) : v >= low && v <= high;

const flagBytes = (flags: readonly boolean[]): Uint8Array => Uint8Array.from(flags, Number);

/** A row alone, and as the outer two of three rows side by side. */
export function callsOf(
  c: EdgeCase,
  isShared: boolean,
  isInBits: boolean,
): { call: EdgeCall; inner: number; lanes: readonly number[] }[] {
  return [1, 3].map((inner) => {
    const spread = <V>(values: readonly V[], other: V): V[] =>
      inner === 1 ? [...values] : values.flatMap((v) => [v, other, v]);
    const flags = isShared ? c.keep : spread(c.keep, true);
    return {
      inner,
      lanes: inner === 1 ? [0] : [0, 2],
      call: {
        type: c.type,
        x: encode(c.type, spread(c.x, 1)),
        shape: [1, c.x.length, inner],
        temperature: c.temperature,
        mask: !c.isMasked ? null : isInBits ? packedBits(flags) : flagBytes(flags),
        layout: !c.isMasked ? 0 : (isShared ? 2 : 1) + (isInBits ? 2 : 0),
        bias: c.bias && encode(c.type, isShared ? c.bias : spread(c.bias, 0)),
      },
    };
  });
}
