/** Calls whose rows have no stride: their arrays are copied to a compact order, and results back, run by run. */
import { MASK_BITS, MASK_BYTES, type KernelArray } from '../backend/backend.js';
import { isShared } from '../backend/masks.js';
import { copyInto, kindOf, lengthOf, viewOf, type ArrayKind } from './arrays.js';
import type { CompactOrder } from './axes.js';
import type { AxisArguments, AxisCall, ResultKind } from './axis.js';
import { allocate } from './allocate.js';
import { checkWhole, scratchLike, type CallerArray } from './memory.js';
import type { Form } from './options.js';

/** An array that is moved to compact order, or back from it. */
export interface Move {
  readonly from: ArrayBufferView;
  readonly to: ArrayBufferView;
  /** Whether the elements of `from` are bits, and those of `to` bytes. */
  readonly isBits?: boolean;
  /** The caller's array among the two. */
  readonly caller: CallerArray;
}

const newLike = (like: ArrayBufferView, length: number, name: string): ArrayBufferView =>
  allocate(kindOf(like) as ArrayKind, length, name);

/** What a compact call must know beside the checked call. */
export interface CompactNeeds {
  readonly form: Form;
  readonly result: ResultKind;
  /** What callers know the logits as. */
  readonly logits: string;
  readonly order: CompactOrder;
}

/** A checked call on arrays of its own, which `gather` fills and whose results `scatter` moves to the caller's. */
export function compactCall(call: AxisCall, { form, result, logits, order }: CompactNeeds): AxisCall {
  const { args, elements } = call;
  const moves: Move[] = [];
  const move = (from: ArrayBufferView, to: ArrayBufferView, name: string, isBits = false) => {
    moves.push({ from, to, isBits, caller: { view: from, name, length: lengthOf(from) } });
    return to;
  };
  // One scratch of a kind is enough for logits and results. logSumExp with weights has other uses for it.
  const isScratch = form === 'now' && result === 'element';
  const results = (like: ArrayBufferView, name: string): KernelArray =>
    (isScratch ? viewOf(scratchLike(like, elements, name), 0, elements) : newLike(like, elements, name)) as KernelArray;
  const x = move(args.x, results(args.x, logits), logits) as KernelArray;
  const { bias, out } = args;
  const isNarrow = kindOf(out) !== kindOf(x);
  const compact: AxisArguments = {
    ...args,
    x,
    out: result !== 'element' ? out : isNarrow ? results(out, 'out') : x,
    bias: bias === null ? null : (allOrOne(bias, lengthOf(bias) === elements, 'bias') as KernelArray),
    ...compactMask(),
  };
  const back = { from: compact.out, to: out, caller: { view: out, name: 'out', length: lengthOf(out) } };
  const inputs = ['x', 'bias', 'mask'] as const;
  return {
    ...call,
    args: compact,
    own: result === 'element' ? [...inputs, 'out'] : [...inputs, ...call.own],
    order,
    gather: () => moved(moves, order, elements),
    ...(result === 'element' && { scatter: () => moved([back], order, elements, true) }),
  };

  /** An array in compact order, or a copy of one row that all rows share. */
  function allOrOne(from: ArrayBufferView, isAll: boolean, name: string): ArrayBufferView {
    const to = newLike(from, lengthOf(from), name);
    if (isAll) return move(from, to, name);
    copyInto(to, from);
    return to;
  }

  function compactMask(): Pick<AxisArguments, 'mask' | 'maskLayout'> {
    const { mask, maskLayout } = args;
    if (mask === null) return { mask, maskLayout };
    if (maskLayout === MASK_BITS) {
      const bytes = move(mask, newLike(mask, elements, 'mask'), 'mask', true);
      return { mask: bytes as Uint8Array, maskLayout: MASK_BYTES };
    }
    return { mask: allOrOne(mask, !isShared(maskLayout), 'mask') as Uint8Array, maskLayout };
  }
}

/** Elements that are moved between two turns of the event loop. */
const SLICE = 2 ** 16;

/** Moves arrays of so many elements to compact order, or back. */
export function* moved(
  moves: readonly Move[],
  order: CompactOrder,
  elements: number,
  isBack = false,
): Generator<undefined, void> {
  for (const { from, to, isBits = false, caller } of moves) {
    for (let at = 0; at < elements; at += SLICE) {
      if (at > 0) yield undefined;
      checkWhole(caller);
      const range = [at, Math.min(elements, at + SLICE)] as const;
      if (isBits) moveBits(from as Uint8Array, to as Uint8Array, order, range);
      else moveRuns(from as Uint8Array, to as Uint8Array, order, range, isBack);
    }
  }
}

type Range = readonly [from: number, end: number];

/** Where a run of the tensor begins in compact order. */
function placeOf({ sizes, steps }: CompactOrder, run: number): number {
  let place = 0;
  for (let i = sizes.length - 1, rest = run; i >= 0; i--) {
    place += (rest % sizes[i]!) * steps[i]!;
    rest = Math.floor(rest / sizes[i]!);
  }
  return place;
}

/** Longer pieces of a run are copied by the engine. */
const SHORT = 1024;

/** Moves the tensor's elements `from` to `end`, between typed arrays of one kind. */
function moveRuns(source: Uint8Array, target: Uint8Array, order: CompactOrder, [from, end]: Range, isBack: boolean) {
  const { sizes, steps, run } = order;
  const [width, step] = [sizes.at(-1)!, steps.at(-1)!];
  let skipped = from % run;
  let r = (from - skipped) / run;
  let column = r % width;
  let place = placeOf(order, r);
  for (let at = from; at < end;) {
    const length = Math.min(run - skipped, end - at);
    const read = isBack ? place + skipped : at;
    const write = isBack ? at : place + skipped;
    if (length > SHORT) copyInto(target, viewOf(source, read, read + length), write);
    else for (let i = 0; i < length; i++) target[write + i] = source[read + i]!;
    at += length;
    skipped = 0;
    r++;
    column++;
    place += step;
    if (column === width) {
      column = 0;
      place = placeOf(order, r);
    }
  }
}

/** Moves the tensor's bits `from` to `end` to bytes. */
function moveBits(bits: Uint8Array, bytes: Uint8Array, order: CompactOrder, [from, end]: Range): void {
  const { run } = order;
  for (let at = from; at < end;) {
    const skipped = at % run;
    const stop = Math.min(at + run - skipped, end);
    const ahead = placeOf(order, (at - skipped) / run) + skipped - at;
    // No shift of `at`: it may have more than 32 bits.
    for (; at < stop; at++) bytes[ahead + at] = (bits[Math.floor(at / 8)]! >> (at & 7)) & 1;
  }
}
