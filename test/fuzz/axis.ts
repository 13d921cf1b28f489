/**
 * Calls of the operators along an axis: tensors, shapes, masks and biases in every layout, options, and faults of a
 * call.
 */
import {
  isHalf,
  kindNames,
  lengthOf,
  logitsOf,
  mildKinds,
  numbersOf,
  temperatureOf,
  type ElementType,
  type Logits,
} from './data.js';
import type { Draw } from './draw.js';
import { gridOf } from './grid.js';
import type { Arena } from './memory.js';
import { IntegerRow } from './exact-row.js';
import { exactRow, type ExactRow } from './row-oracle.js';

export type Options = Record<string, unknown>;

export interface Axis {
  readonly type: ElementType;
  readonly outer: number;
  readonly cols: number;
  readonly inner: number;
  readonly length: number;
  readonly x: Logits;
  readonly values: Float64Array;
  readonly temperature: number;
  readonly mask?: Uint8Array;
  /** Whether each element is visible. */
  readonly visible?: Uint8Array;
  readonly bias?: Logits;
  /** The bias of each element. */
  readonly biases?: Float64Array;
  /** All options that are not arrays. */
  readonly plain: Options;
  /** Where the elements of each row lie, for rows over several axes. */
  readonly places?: Int32Array;
  readonly text: string;
}

const TYPES: readonly ElementType[] = ['f32', 'f32', 'f32', 'f64', 'f64', 'f16', 'bf16'];

/** The number of rows that so many elements make. */
function rowsFor(draw: Draw, cols: number): number {
  if (draw.chance(0.5)) return 1;
  const most = Math.max(1, Math.floor(2500 / Math.max(1, cols)));
  return Math.max(1, Math.min(draw.pick([2, 3, 5, 16, 17, 100, 700]), most));
}

export interface AxisNeeds {
  readonly hasBias?: boolean;
  readonly types?: readonly ElementType[];
  /** Rows follow one another, so that no shape is needed. */
  readonly isFlat?: boolean;
  readonly hasTemperature?: boolean;
  readonly isMild?: boolean;
  /** Rows may run over several axes. */
  readonly hasAxes?: boolean;
}

export function axisOf(
  draw: Draw,
  limit: number,
  {
    hasBias = true,
    types = TYPES,
    isFlat = false,
    hasTemperature = true,
    isMild = false,
    hasAxes = false,
  }: AxisNeeds = {},
): Axis {
  const type = draw.pick(types);
  const cols = draw.chance(0.01) ? 0 : lengthOf(draw, Math.min(limit, isHalf(type) ? 5000 : Infinity));
  const rows = rowsFor(draw, cols);
  const inner = !isFlat && draw.chance(0.25) ? Math.max(1, Math.min(rows, draw.pick([1, 2, 5, 16, 17, 33]))) : 1;
  const outer = draw.chance(0.01) ? 0 : Math.ceil(rows / inner);
  const length = outer * cols * inner;
  const kinds = isMild ? mildKinds : kindNames;
  const kind = draw.pick(kinds);
  const values = numbersOf(draw, type, length, kind);
  const second = draw.chance(0.2) ? draw.pick(kinds) : undefined;
  if (second && length > 0) {
    // the other rows are of another kind
    const from = draw.int(length);
    values.set(numbersOf(draw, type, length - from, second), from);
  }
  const temperature = hasTemperature ? temperatureOf(draw) : 1;
  const grid = hasAxes && inner === 1 && draw.chance(0.2) ? gridOf(draw, outer, cols) : undefined;
  const plain: Options = { ...(grid?.options ?? shapeOptions(draw, outer, cols, inner, isFlat)) };
  if (temperature !== 1 || (hasTemperature && draw.chance(0.2))) plain.temperature = temperature;
  if (isHalf(type)) plain.dtype = type === 'f16' ? 'float16' : 'bfloat16';
  const masked = draw.chance(0.3) ? maskOf(draw, { outer, cols, inner, length, ...grid }) : undefined;
  if (masked?.isBits || (masked && draw.chance(0.3))) plain.maskFormat = masked.isBits ? 'bits' : 'bytes';
  const bias =
    hasBias && draw.chance(0.25) ? biasOf(draw, type, kind, { cols, inner, length, ...grid }, isMild) : undefined;
  const kindOfRows = second ? `${kind} and ${second}` : kind;
  const added = `${masked ? `, mask ${masked.text}` : ''}${bias ? `, bias ${bias.text}` : ''}`;
  const over = grid ? ` of [${grid.options.shape.join(', ')}] over ${grid.options.axis.join(', ')}` : '';
  const text = `${type} [${outer}, ${cols}, ${inner}]${over} ${kindOfRows}, T ${temperature}${added}`;
  return {
    type,
    outer,
    cols,
    inner,
    length,
    values,
    x: logitsOf(type, values),
    temperature,
    plain,
    text,
    ...(masked && { mask: masked.mask, visible: masked.visible }),
    ...(bias && { bias: bias.bias, biases: bias.all }),
    ...(grid && { places: grid.places }),
  };
}

function shapeOptions(draw: Draw, outer: number, cols: number, inner: number, isFlat: boolean): Options {
  if (inner === 1 && outer === 1 && draw.chance(0.5)) return {};
  if (inner === 1 && cols > 0 && (isFlat || draw.chance(0.5))) return { cols };
  if (isFlat) return {};
  const split = (n: number): number[] => {
    for (const d of [2, 3, 5]) if (n > 1 && n % d === 0 && draw.chance(0.3)) return [d, n / d];
    return n === 1 && draw.chance(0.5) ? [] : [n];
  };
  const [before, behind] = [split(outer), split(inner)];
  const shape = [...before, cols, ...behind];
  const axis = before.length;
  if (behind.length === 0 && draw.chance(0.3)) return { shape };
  return { shape, axis: draw.chance(0.5) ? axis : axis - shape.length };
}

interface Sizes {
  readonly outer: number;
  readonly cols: number;
  readonly inner: number;
  readonly length: number;
  /** The place of each element in its row, for rows over several axes. */
  readonly columns?: Int32Array;
}

const columnOf = (i: number, { cols, inner, columns }: Omit<Sizes, 'outer' | 'length'>): number =>
  columns === undefined ? Math.floor(i / inner) % cols : columns[i]!;

function maskOf(draw: Draw, sizes: Sizes) {
  const { cols, length } = sizes;
  const isRow = draw.chance(0.4);
  const n = isRow ? cols : length;
  const share = draw.pick([0, 0.1, 0.5, 0.9, 1, draw.uniform()]);
  const bytes = Uint8Array.from({ length: n }, () => (draw.uniform() < share ? 1 + draw.int(255) : 0));
  if (!isRow && cols > 0 && draw.chance(0.2))
    for (let i = 0; i < Math.floor(n / cols); i++) if (draw.chance(0.3)) bytes.fill(0, i * cols, (i + 1) * cols);
  const isClear = Math.ceil(length / 8) !== Math.ceil(cols / 8) || length === cols;
  const isBits = draw.chance(0.4) && isClear;
  const visible = Uint8Array.from({ length }, (_, i) => (bytes[isRow ? columnOf(i, sizes) : i] ? 1 : 0));
  const packed = new Uint8Array(Math.ceil(n / 8));
  if (draw.chance(0.5)) packed.fill(255); // bits behind the last one do not matter
  bytes.forEach(
    (byte, i) => (packed[i >> 3] = byte ? packed[i >> 3]! | (1 << (i & 7)) : packed[i >> 3]! & ~(1 << (i & 7))),
  );
  return {
    mask: isBits ? packed : bytes,
    isBits,
    visible,
    text: `${isRow ? 'row ' : ''}${isBits ? 'bits' : 'bytes'} ${share.toFixed(2)}`,
  };
}

function biasOf(draw: Draw, type: ElementType, kind: string, sizes: Omit<Sizes, 'outer'>, isMild: boolean) {
  const isRow = draw.chance(0.4);
  const own = draw.chance(0.3)
    ? kind
    : draw.pick(
        isMild
          ? mildKinds
          : [
              'normal',
              'N(0,1)',
              'constant',
              'lowest as a mask',
              '−∞ between',
              'largest and lowest',
              'up to the largest',
            ],
      );
  const values = numbersOf(draw, type, isRow ? sizes.cols : sizes.length, own);
  const all = Float64Array.from({ length: sizes.length }, (_, i) => values[isRow ? columnOf(i, sizes) : i]!);
  return { bias: logitsOf(type, values), all, text: `${isRow ? 'row ' : ''}${own}` };
}

/** The options of a call, with arrays in an arena. */
export function placed(arena: Arena, axis: Axis, more: Options = {}): Options {
  return {
    ...axis.plain,
    ...(axis.mask && { mask: arena.input('mask', axis.mask) }),
    ...(axis.bias && { bias: arena.input('bias', axis.bias) }),
    ...more,
  };
}

export interface TensorRow {
  readonly exact: ExactRow;
  readonly integers: IntegerRow;
  /** The index of element c of the row. */
  at(c: number): number;
  isVisible(c: number): boolean;
}

/** The indices of the elements of each row, in the order of results that have one number for each row. */
export function* indicesOfRows({ outer, cols, inner }: Axis): Generator<number[]> {
  for (let o = 0; o < outer; o++)
    for (let i = 0; i < inner; i++) yield Array.from({ length: cols }, (_, c) => (o * cols + c) * inner + i);
}

/** The exact rows of the tensor, in the order of results that have one number for each row. */
export function* rowsOf(axis: Axis, precise = axis.type === 'f64'): Generator<TensorRow> {
  const { outer, cols, inner, values, visible, biases, temperature, places } = axis;
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const at = (c: number) => (places === undefined ? (o * cols + c) * inner + i : places[o * cols + c]!);
      const pick = <A extends Float64Array | Uint8Array>(all: A | undefined) =>
        all &&
        (Object.getPrototypeOf(all).constructor as { from(s: object, f: (v: unknown, c: number) => number): A }).from(
          { length: cols },
          (_, c) => all[at(c)]!,
        );
      const input = { x: pick(values)!, bias: pick(biases), visible: pick(visible), temperature, precise };
      const isVisible = (c: number) => visible === undefined || visible[at(c)] !== 0;
      yield { exact: exactRow(input), integers: new IntegerRow(input), at, isVisible };
    }
  }
}

/** A fault of one option or argument: its name, and the arguments of the call. */
export function spoil(draw: Draw, axis: Axis, options: Options, result: 'element' | 'row' | 'state'): string {
  const { length, cols, type } = axis;
  const set = (name: string, value: unknown): string => {
    options[name] = value;
    return `${name}: ${typeof value === 'object' && value !== null ? value.constructor.name : String(value)}`;
  };
  const ways: (() => string)[] = [
    () => set('temperature', draw.pick([0, -1, NaN, Infinity, '1', null, 1n])),
    () => set('cols', draw.pick([0, -1, 1.5, NaN, '3', Infinity, null])),
    () => set('colz', 3),
    () => set('mask', draw.pick([[1, 2], new Int8Array(length), 'mask', new Uint8Array(length + 9 + cols), null])),
    () => ((options.mask = new Uint8Array(length)), set('maskFormat', draw.pick(['bit', 3, null, {}]))),
    () => set('shape', draw.pick([[length + 1], 'shape', [], [1.5], [-1, -length], [NaN], [length, 2 ** 60]])),
    () => set('dtype', draw.pick(['float32', 3, null, 'bfloat', {}])),
  ];
  if (options.shape === undefined) ways.push(() => set('axis', 0));
  if (options.shape !== undefined)
    ways.push(() => set('axis', draw.pick([9, -9, 0.5, '0', NaN, [], [0, 0], [0, 9], [null]])));
  ways.push(() =>
    set(
      'bias',
      draw.pick([
        [1],
        new Int32Array(length),
        type === 'f32' ? new Float64Array(length) : new Float32Array(length),
        null,
      ]),
    ),
  );
  if (result !== 'state')
    ways.push(() =>
      set('out', draw.pick([[1], new Int32Array(length), new Float32Array(length + 1 + axis.outer), null])),
    );
  return draw.pick(ways)();
}
