/**
 * Views of a cache: the arrays that kernels read for some sequences. A process can have two copies of this package, one
 * imported and one required. A KVCache of the other copy gives its view under a symbol that all copies share; the view
 * is checked here, as any object can have that symbol.
 */
import { trueLength, wrongType, wrongValue } from '../call/errors.js';
import { copyOf, elementsOf, isShared, kindOf, lengthOf, viewOf } from '../call/arrays.js';
import { count } from '../call/checks.js';
import { types } from '../call/types.js';
import type { SequenceId } from './kv-types.js';
import { MOST_SLABS, type Stored } from './pages.js';
import { placeOf, slabOf, TILE, tileSize, type CacheSizes } from './tiles.js';

/** The types of stored numbers, as in the names of kernels. */
export type CacheKind = 'f32' | 'f16' | 'bf16' | 'i8';

export interface CacheView extends CacheSizes {
  readonly kind: CacheKind;
  readonly slabs: readonly Stored[];
  readonly scales: readonly Float32Array[];
  /** The pages of the sequences, one sequence after the other. */
  readonly table: Uint32Array;
  /** Tokens of each sequence. */
  readonly lengths: Int32Array;
  /** Keeps the pages and their memory until the returned function is called. A job holds them. */
  hold(): () => void;
}

/** The number is the version of {@link CacheView}: copies with another version do not find the symbol. */
export const CACHE_VIEW = Symbol.for('flash-softmax.KVCache.view.1');

/** The function of a value that gives a view of sequences; undefined if it has none. */
export function viewFunctionOf(value: unknown): ((ids: readonly SequenceId[]) => unknown) | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const view: unknown = (value as Record<symbol, unknown>)[CACHE_VIEW];
  return typeof view === 'function' ? (ids) => Reflect.apply(view, value, [ids]) as unknown : undefined;
}

const STORED: Readonly<Record<CacheKind, string>> = {
  f32: 'Float32Array',
  f16: 'Uint16Array',
  bf16: 'Uint16Array',
  i8: 'Int8Array',
};

/** A checked copy of a view from another copy of the package. Throws for anything but a view. */
export function checkedView(given: unknown, sequences: number): CacheView {
  if (typeof given !== 'object' || given === null) throw wrongType('a KVCache', 'cache', given);
  const view = given as Record<keyof CacheView, unknown>;
  const { kind, slabs, scales, table, lengths, hold } = view;
  const sizes = {
    kvHeads: count(view.kvHeads, 'kvHeads of the cache'),
    headDim: count(view.headDim, 'headDim of the cache'),
    valueDim: count(view.valueDim, 'valueDim of the cache'),
    pageSize: count(view.pageSize, 'pageSize of the cache'),
  };
  if (sizes.pageSize % TILE !== 0)
    throw wrongValue('a multiple of 16', 'pageSize of the cache', String(sizes.pageSize));
  if (typeof kind !== 'string' || !Object.hasOwn(STORED, kind)) {
    throw wrongType("'f32', 'f16', 'bf16' or 'i8'", 'kind of the cache', kind);
  }
  if (typeof hold !== 'function') throw wrongType('a function', 'hold of the cache', hold);
  const ownSlabs = slabsOf(slabs, STORED[kind as CacheKind], 'slabs') as Stored[];
  const ownScales = slabsOf(scales, 'Float32Array', 'scales') as Float32Array[];
  if (!types.isUint32Array(table)) throw wrongType('a Uint32Array', 'table of the cache', table);
  if (!types.isInt32Array(lengths)) throw wrongType('an Int32Array', 'lengths of the cache', lengths);
  trueLength(table, 'table of the cache');
  trueLength(lengths, 'lengths of the cache');
  const pages = { slabs: ownSlabs, scales: ownScales, table: copyOf(table), lengths: copyOf(lengths) };
  const own = { ...sizes, ...pages, kind: kind as CacheKind };
  checkPages(own, sequences);
  return { ...own, hold: () => releaseOf(Reflect.apply(hold, given, []) as unknown) };
}

function releaseOf(release: unknown): () => void {
  if (typeof release !== 'function') throw wrongType('a function', 'hold of the cache', release);
  return () => void Reflect.apply(release, undefined, []);
}

/** Views of the listed arrays, which must be of the kind and in shared memory: nobody can detach or shrink that. */
function slabsOf(list: unknown, kind: string, name: string): ArrayBufferView[] {
  if (!Array.isArray(list)) throw wrongType('an array', `${name} of the cache`, list);
  const slabs = elementsOf(list);
  if (slabs.length > MOST_SLABS) {
    throw wrongValue(`at most ${MOST_SLABS} arrays`, `${name} of the cache`, String(slabs.length));
  }
  return slabs.map((slab) => {
    if (!ArrayBuffer.isView(slab) || kindOf(slab) !== kind) throw wrongType(`${kind}s`, `${name} of the cache`, slab);
    if (!isShared(slab) && typeof SharedArrayBuffer !== 'undefined') {
      throw wrongType('shared memory', `${name} of the cache`, slab);
    }
    return viewOf(slab);
  });
}

/** Checks that every page of every sequence lies in a slab, and that an int8 page has its scales. */
function checkPages(view: Omit<CacheView, 'hold'>, sequences: number): void {
  const { kind, kvHeads, headDim, valueDim, pageSize, slabs, scales, table, lengths } = view;
  if (lengths.length !== sequences) {
    throw wrongValue(`${sequences} lengths`, 'lengths of the cache', String(lengths.length));
  }
  let pages = 0;
  for (const length of lengths) {
    if (length < 0) throw wrongValue('lengths from 0', 'lengths of the cache', String(length));
    pages += Math.ceil(length / pageSize);
  }
  if (table.length !== pages) throw wrongValue(`${pages} pages`, 'table of the cache', String(table.length));
  const tiles = (pageSize / TILE) * kvHeads;
  const capacity = slabs.map((slab) => Math.floor(lengthOf(slab) / (tiles * tileSize({ headDim, valueDim }))));
  const scaleArrays = kind === 'i8' ? slabs.length : 0;
  if (scales.length !== scaleArrays) {
    throw wrongValue(`${scaleArrays} arrays`, 'scales of the cache', String(scales.length));
  }
  scales.forEach((each, i) => {
    const least = capacity[i]! * tiles * 2 * TILE;
    if (lengthOf(each) < least) throw wrongValue(`${least} scales`, 'scales of the cache', String(lengthOf(each)));
  });
  for (const page of table) {
    const slab = slabOf(page);
    const isThere = slab < slabs.length && placeOf(page) < capacity[slab]!;
    if (!isThere) throw wrongValue('pages of its slabs', 'table of the cache', String(page));
  }
}
