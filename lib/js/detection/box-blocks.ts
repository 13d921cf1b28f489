/**
 * The boxes of an image that may still be selected, in blocks of neighbours of one class. A block has bounds, so that a
 * box far from all of them skips them, its largest key, and the box that has it. The order of boxes in memory decides
 * nothing but speed.
 */
import type { BoxColumns } from './boxes.js';

export interface Boxes extends BoxColumns {
  /** What orders boxes, the largest first. */
  readonly keys: Float64Array;
  /** A class for each box; null: all are of one class. */
  readonly classes: Int32Array | null;
}

const SIZE = 16;

export class BoxBlocks {
  /** The boxes in the order of blocks, SIZE to a block. One that is gone lies at Infinity and has the key −Infinity. */
  readonly lanes: Boxes;
  /** Which box lies in each lane. */
  readonly index: Uint32Array;
  readonly blocks: number;
  /** The bounds of each block, far sides with their signs turned; they stay when boxes go. */
  readonly left: Float64Array;
  readonly top: Float64Array;
  readonly minusRight: Float64Array;
  readonly minusBottom: Float64Array;
  /** The lowest and the highest class in each block. */
  readonly low: Int32Array;
  readonly high: Int32Array;
  /** The largest key of each block, and its lane, of the lowest box among equals. −∞: no box is left. */
  readonly best: Float64Array;
  readonly first: Uint32Array;

  constructor(boxes: Boxes, order: Uint32Array) {
    this.index = arranged(boxes, order);
    const inOrder = (column: Float64Array) => Float64Array.from(this.index, (i) => column[i]!);
    const { classes } = boxes;
    this.lanes = {
      left: inOrder(boxes.left),
      top: inOrder(boxes.top),
      minusRight: inOrder(boxes.minusRight),
      minusBottom: inOrder(boxes.minusBottom),
      area: inOrder(boxes.area),
      keys: inOrder(boxes.keys),
      classes: classes && Int32Array.from(this.index, (i) => classes[i]!),
    };
    this.blocks = Math.ceil(order.length / SIZE);
    const sides = () => new Float64Array(this.blocks).fill(Infinity);
    [this.left, this.top, this.minusRight, this.minusBottom] = [sides(), sides(), sides(), sides()];
    this.low = new Int32Array(this.blocks);
    this.high = new Int32Array(this.blocks);
    this.best = new Float64Array(this.blocks);
    this.first = new Uint32Array(this.blocks);
    for (let block = 0; block < this.blocks; block++) this.#measure(block);
  }

  static readonly size = SIZE;

  #end(block: number): number {
    return Math.min((block + 1) * SIZE, this.index.length);
  }

  #measure(block: number): void {
    const { left, top, minusRight, minusBottom, classes } = this.lanes;
    const end = this.#end(block);
    for (let lane = block * SIZE; lane < end; lane++) {
      this.left[block] = Math.min(this.left[block]!, left[lane]!);
      this.top[block] = Math.min(this.top[block]!, top[lane]!);
      this.minusRight[block] = Math.min(this.minusRight[block]!, minusRight[lane]!);
      this.minusBottom[block] = Math.min(this.minusBottom[block]!, minusBottom[lane]!);
    }
    this.low[block] = classes?.[block * SIZE] ?? 0;
    this.high[block] = classes?.[end - 1] ?? 0;
    this.findFirst(block);
  }

  /** Finds the first box of a block again. */
  findFirst(block: number): void {
    const { index } = this;
    const { keys } = this.lanes;
    const end = this.#end(block);
    let most = -Infinity;
    let at = block * SIZE;
    for (let lane = at; lane < end; lane++) {
      const key = keys[lane]!;
      if (key > most || (key === most && index[lane]! < index[at]!)) {
        most = key;
        at = lane;
      }
    }
    this.best[block] = most;
    this.first[block] = at;
  }

  /** The block whose first box is the first of all; −1 if no box is left. */
  firstBlock(): number {
    const { best, first, index, blocks } = this;
    let most = -Infinity;
    let found = -1;
    for (let block = 0; block < blocks; block++) {
      const key = best[block]!;
      if (key > most || (key === most && found >= 0 && index[first[block]!]! < index[first[found]!]!)) {
        most = key;
        found = block;
      }
    }
    return found;
  }

  remove(lane: number): void {
    this.lanes.left[lane] = Infinity;
    this.lanes.keys[lane] = -Infinity;
  }
}

/** Boxes sorted by class, then by the cells of a grid over their centres, row by row, every second row backwards. */
function arranged({ left, top, minusRight, minusBottom, classes }: Boxes, order: Uint32Array): Uint32Array {
  const grid = Math.min(Math.ceil(Math.sqrt(order.length / SIZE)), 256);
  const axis = (near: Float64Array, minusFar: Float64Array): Uint32Array => {
    const middles = Float64Array.from(order, (i) => near[i]! - minusFar[i]!);
    const [low, high] = middles.reduce(([a, b], x) => [Math.min(a, x), Math.max(b, x)], [Infinity, -Infinity]);
    const step = high > low ? (grid - 0.5) / (high - low) : 0;
    return Uint32Array.from(middles, (x) => (x - low) * step);
  };
  const [x, y] = [axis(left, minusRight), axis(top, minusBottom)];
  const cells = new Uint32Array(left.length);
  order.forEach((i, j) => (cells[i] = y[j]! * grid + (y[j]! % 2 ? grid - 1 - x[j]! : x[j]!)));
  if (classes === null) return order.sort((a, b) => cells[a]! - cells[b]!);
  return order.sort((a, b) => classes[a]! - classes[b]! || cells[a]! - cells[b]!);
}
