/**
 * Where a cache stores its tokens. A slab holds, head after head, one head's share of all its pages: tiles of 16
 * tokens, the keys as [headDim, 16], then the values as [16, width] (lib/backend/backend.ts, CachedAttentionKernel).
 */
import type { AttentionShape } from '../backend/backend.js';

/** Tokens of a tile. */
export const TILE = 16;

/** A page is a number: its slab, and in the lower bits its place in the slab. */
const PLACE_BITS = 26;

/** Pages that a slab can number. */
export const PLACES = 2 ** PLACE_BITS;

export const slabOf = (page: number): number => page >>> PLACE_BITS;
export const placeOf = (page: number): number => page & (PLACES - 1);
export const pageAt = (slab: number, place: number): number => slab * PLACES + place;

/** Numbers of a stored value: valueDim rounded up to a multiple of 16. */
export const widthOf = ({ valueDim }: Pick<AttentionShape, 'valueDim'>): number => Math.ceil(valueDim / TILE) * TILE;

/** Numbers of a tile. */
export const tileSize = (sizes: Pick<AttentionShape, 'headDim' | 'valueDim'>): number =>
  TILE * (sizes.headDim + widthOf(sizes));

export type CacheSizes = Pick<AttentionShape, 'kvHeads' | 'headDim' | 'valueDim' | 'pageSize'>;

/** Where the numbers of one token and one head begin. */
export interface TokenPlace {
  /** The key's first number in the slab; the others follow at steps of TILE. */
  readonly key: number;
  /** The value's first number in the slab; the others follow it. */
  readonly value: number;
  /** The scales of the key and the value in the slab's scales. */
  readonly keyScale: number;
  readonly valueScale: number;
}

/** The place of a token in its page, which lies in a slab of `slabLength` numbers. */
export function tokenPlace(
  sizes: CacheSizes,
  slabLength: number,
  page: number,
  head: number,
  token: number,
): TokenPlace {
  const size = tileSize(sizes);
  const pageTiles = sizes.pageSize / TILE;
  const capacity = slabLength / (pageTiles * size * sizes.kvHeads);
  const tile = (head * capacity + placeOf(page)) * pageTiles + Math.floor((token % sizes.pageSize) / TILE);
  const lane = token % TILE;
  return {
    key: tile * size + lane,
    value: tile * size + TILE * sizes.headDim + lane * widthOf(sizes),
    keyScale: 2 * tile * TILE + lane,
    valueScale: (2 * tile + 1) * TILE + lane,
  };
}
