// The states of one request. Each part is counted once, however often its state arrives; parts keep their order.
import { ShardError } from './messages.mjs';

export class Gather {
  #options;
  #states;
  #missing;

  /**
   * @param {object} options
   * @param {number} options.epoch The epoch of the first row; each row has its own.
   * @param {number} options.rows
   * @param {number[]} options.owners The shard of each part.
   * @param {(bytes: Uint8Array) => object} options.read Reads a state.
   */
  constructor(options) {
    this.#options = options;
    const { rows, owners } = options;
    this.#states = new Array(rows * owners.length).fill(undefined);
    this.#missing = new Map();
    for (const shard of owners) this.#missing.set(shard, (this.#missing.get(shard) ?? 0) + rows);
  }

  /**
   * Counts a state of a shard.
   *
   * @returns Its row and part; undefined for a state that has been counted, or that belongs to another request.
   * @throws ShardError for what is no state, has no origin or another shard's, and for sums that are not finite.
   */
  add(shard, bytes) {
    const { epoch, rows, owners } = this.#options;
    const state = this.#read(shard, bytes);
    if (state.origin === undefined) throw new ShardError(shard, 'a state with its origin', 'one without');
    const { shard: part, epoch: own } = state.origin;
    const row = own - epoch;
    if (!(row >= 0 && row < rows)) return undefined;
    if (owners[part] !== shard) throw new ShardError(shard, 'a part that it has', `part ${part}`);
    const { mantissa } = state.state ?? state;
    if (!mantissa.every(Number.isFinite)) throw new ShardError(shard, 'finite sums', `${mantissa.join(', ')}`);
    const at = row * owners.length + part;
    if (this.#states[at] !== undefined) return undefined;
    this.#states[at] = state;
    this.#missing.set(shard, this.#missing.get(shard) - 1);
    return { row, part };
  }

  /** Whether all states of a shard have arrived. */
  has(shard) {
    return (this.#missing.get(shard) ?? 0) === 0;
  }

  /** The states of a row, in the order of their parts. */
  statesOf(row) {
    const parts = this.#options.owners.length;
    return this.#states.slice(row * parts, (row + 1) * parts);
  }

  #read(shard, bytes) {
    try {
      return this.#options.read(bytes);
    } catch (error) {
      throw new ShardError(shard, 'a state', `${bytes.length} bytes: ${error.message}`, error);
    }
  }
}
