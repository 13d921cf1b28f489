/** Arrays that lie about themselves, and ways to take an array's memory away. */
import vm from 'node:vm';
import { constructorOf, type AnyArray } from '../fuzz/memory.js';

const CANARY = 0xa5;

export interface Placed {
  readonly array: AnyArray;
  readonly isUntouched: () => boolean;
}

type Resizable = ArrayBuffer & { resize(bytes: number): void };

/** A copy in the middle of a larger buffer, or alone in a resizable one. */
export function placedIn(master: AnyArray, isAlone: boolean): Placed {
  const Kind = constructorOf(master);
  const margin = isAlone ? 0 : 4096;
  const bytes = margin + master.byteLength + margin;
  const Memory = ArrayBuffer as unknown as new (bytes: number, options?: { maxByteLength: number }) => ArrayBuffer;
  const buffer = isAlone ? new Memory(bytes, { maxByteLength: bytes + 64 }) : new ArrayBuffer(bytes);
  const whole = new Uint8Array(buffer).fill(CANARY);
  whole.set(new Uint8Array(master.buffer, master.byteOffset, master.byteLength), margin);
  const around = [whole.subarray(0, margin), whole.subarray(margin + master.byteLength)];
  return {
    array: new Kind(buffer, margin, master.length),
    isUntouched: () => isAlone || around.every((part) => part.every((byte) => byte === CANARY)),
  };
}

/** Overrides on the array itself, or in a subclass of its own. */
const own =
  (name: PropertyKey, value: (x: AnyArray) => unknown) =>
  (x: AnyArray): AnyArray =>
    Object.defineProperty(x, name, { value: value(x), configurable: true });

function inSubclass(define: (Kind: { prototype: object }, x: AnyArray) => void) {
  return (x: AnyArray): AnyArray => {
    const Kind = constructorOf(x) as unknown as Uint8ArrayConstructor;
    class Sub extends Kind {}
    define(Sub, x);
    return Object.setPrototypeOf(x, Sub.prototype) as AnyArray;
  };
}

const getter = (target: object, name: PropertyKey, get: () => unknown) =>
  void Object.defineProperty(target, name, { get, configurable: true });
const short = (x: AnyArray) => {
  const Kind = constructorOf(x) as unknown as Uint8ArrayConstructor;
  return class extends Kind {
    constructor() {
      super(1);
    }
  };
};

const foreign = vm.createContext({});

/** Whatever these claim, results are the honest array's. */
export const lies: Record<string, (x: AnyArray) => AnyArray> = {
  'length a little longer, by a subclass': inSubclass(({ prototype }, { length }) =>
    getter(prototype, 'length', () => length + 64),
  ),
  'length far longer, by a subclass': inSubclass(({ prototype }) => getter(prototype, 'length', () => 2 ** 23)),
  'length shorter, by a subclass': inSubclass(({ prototype }, { length }) =>
    getter(prototype, 'length', () => length >> 1),
  ),
  'length of its own, longer': own('length', ({ length }) => length + 64),
  'length of its own, far longer': own('length', () => 2 ** 23),
  'length of its own, no number': own('length', () => 'many'),
  'length that changes': inSubclass(({ prototype }, { length }) => {
    let reads = 0;
    getter(prototype, 'length', () => (reads++ ? length * 16 : length));
  }),
  'length that throws': inSubclass(({ prototype }) =>
    getter(prototype, 'length', () => {
      throw new Error('length was asked for');
    }),
  ),
  'byteLength, byteOffset and BYTES_PER_ELEMENT': (x) =>
    own('BYTES_PER_ELEMENT', () => 1)(own('byteOffset', () => 0)(own('byteLength', () => 2 ** 30)(x))),
  'another buffer': own('buffer', () => new ArrayBuffer(8)),
  'a constructor that makes one element': own('constructor', short),
  'a subclass whose constructor makes one element': (x) =>
    Object.setPrototypeOf(x, short(x).prototype as object) as AnyArray,
  'no constructor': own('constructor', () => undefined),
  'a species of other arrays': inSubclass((Kind) => getter(Kind, Symbol.species, () => Int8Array)),
  'a species that makes one element': inSubclass((Kind, x) => getter(Kind, Symbol.species, () => short(x))),
  'slice, subarray, set and fill of its own': (x) => {
    for (const name of ['slice', 'subarray', 'set', 'fill', 'map', 'indexOf', 'findIndex'])
      own(name, () => () => new Uint8Array(1))(x);
    return x;
  },
  'an iterator that throws': own(Symbol.iterator, () => () => {
    throw new Error('the iterator was asked for');
  }),
  'another tag': own(Symbol.toStringTag, () => 'Float64Array'),
  'no prototype': (x) => Object.setPrototypeOf(x, null) as AnyArray,
  'of another realm': (x) => {
    const Kind = vm.runInContext(constructorOf(x).name, foreign) as typeof Uint8Array;
    return new Kind(x.buffer as ArrayBuffer, x.byteOffset, x.length) as AnyArray;
  },
  'on shared memory': (x) => {
    const Kind = constructorOf(x);
    const copy = new Kind(new SharedArrayBuffer(x.byteLength));
    new Uint8Array(copy.buffer).set(new Uint8Array(x.buffer, x.byteOffset, x.byteLength));
    return copy;
  },
};

export type Loss = (x: AnyArray) => void;

const bufferOf = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), 'buffer')!.get as (
  this: unknown,
) => ArrayBuffer;

/** Needs an array alone in a resizable buffer. */
export const losses: Record<string, Loss> = {
  detached: (x) => void structuredClone(null, { transfer: [bufferOf.call(x)] }),
  shrunk: (x) => (bufferOf.call(x) as Resizable).resize(Math.min(16, bufferOf.call(x).byteLength >> 1)),
  'shrunk to nothing': (x) => (bufferOf.call(x) as Resizable).resize(0),
  'transferred to a message': (x) => new MessageChannel().port1.postMessage(0, [bufferOf.call(x)]),
};
