/** The floating-point control registers are left as found: after every kind of call, subnormal numbers still count. */
import { describe, expect, it } from 'vitest';
import { softmax } from '../../lib/index.js';
import { backends, softmaxOn } from '../support/backends.js';
import { kinds, row, typeNames, type KindName } from '../support/cases.js';

const { disturbances } = (await import(new URL('../call/workers/control.mjs', import.meta.url).href)) as {
  disturbances: () => string[];
};

describe('floating-point control', () => {
  it('is as JavaScript needs it before anything is called', () => expect(disturbances()).toEqual([]));

  for (const name of backends) {
    it(`is left as found by ${name}`, () => {
      for (const type of typeNames) {
        for (const kind of Object.keys(kinds) as KindName[]) {
          for (const n of [0, 1, 10, 16, 100, 1000, 70_000]) {
            softmaxOn(name, row(type, kind, n));
            expect(disturbances(), `${type}, ${kind}, ${n} elements`).toEqual([]);
          }
        }
        for (const exceptional of [NaN, Infinity, -Infinity]) {
          softmaxOn(
            name,
            row(type, () => exceptional, 100),
          );
          expect(disturbances(), `${type}, ${exceptional}`).toEqual([]);
        }
      }
    });
  }

  it('is left as found by the public function', () => {
    for (const n of [0, 1, 10, 100, 1000, 1e6]) {
      softmax(row('f32', 'down into the subnormals', n));
      softmax(row('f64', 'down into the subnormals', n));
      expect(disturbances(), `${n} elements`).toEqual([]);
    }
  });
});
