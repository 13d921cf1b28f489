/** Readers of bytes, fed with what has been found and with mutations of what they accept. See targets.ts. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { Draw } from '../fuzz/draw.js';
import { root } from '../support/emulated.js';
import { seeds } from './seeds.js';
import { targets } from './targets.js';

/** For this long a target is fed with mutations; the first of a seed are the same in every run. */
const MILLISECONDS = Number(process.env.FLASH_SOFTMAX_BYTES_MILLISECONDS ?? 1000);
const names = Object.keys(targets) as (keyof typeof targets)[];

/** Inputs that once broke a target. */
function found(name: string): Uint8Array[] {
  const folder = path.join(root, 'test', 'bytes', 'found', name);
  return existsSync(folder) ? readdirSync(folder).map((file) => readFileSync(path.join(folder, file))) : [];
}

const ODD = [0, 1, 0x7f, 0x80, 0xff];

/** A few changes: bytes, ends, runs that move, and large little-endian numbers. */
function mutated(bytes: Uint8Array, draw: Draw): Uint8Array {
  let copy = Uint8Array.from(bytes);
  for (let i = draw.between(1, 4); i > 0; i--) {
    const at = draw.int(copy.length + 1);
    const way = draw.int(6);
    if (way === 0) copy[at] = draw.int(256);
    else if (way === 1) copy[at] = draw.pick(ODD);
    else if (way === 2) copy = copy.slice(0, at);
    else if (way === 3) copy = Uint8Array.of(...copy.subarray(0, at), draw.int(256), ...copy.subarray(at));
    else if (way === 4) copy.copyWithin(at, draw.int(copy.length + 1), draw.int(copy.length + 1));
    else copy.fill(draw.pick(ODD), at, at + draw.pick([2, 4, 8]));
  }
  return copy;
}

describe.each(names)('%s', (name) => {
  const target = targets[name];

  it('takes its seeds, and what was found', () => {
    for (const bytes of [...seeds[name](), ...found(name)]) expect(() => target(bytes)).not.toThrow();
  });

  it('takes their mutations', () => {
    const list = seeds[name]();
    const until = Date.now() + MILLISECONDS;
    for (let number = 0; number < 500 || Date.now() < until; number++) {
      const draw = new Draw(Number(process.env.FLASH_SOFTMAX_BYTES_SEED ?? 1), number);
      const bytes = mutated(draw.pick(list), draw);
      try {
        target(bytes);
      } catch (error) {
        const encoded = Buffer.from(bytes).toString('base64');
        throw new Error(`mutation ${number} (base64 ${encoded}): ${String(error)}`, { cause: error });
      }
    }
  });
});
