/**
 * A foreign addon leaves the thread with another rounding, or without subnormal numbers. Native results are the same
 * then, on any number of threads and as promises, and the thread is left as it was. JavaScript computes as its engine
 * does, which nobody can promise anything about.
 */
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { attention } from '../../lib/attention.js';
import { chosenBackend, inForce, runOn } from '../../lib/backend/choice.js';
import { crossEntropy, expSum, logSoftmax, logSumExp, setThreads, softmax } from '../../lib/index.js';
import * as promises from '../../lib/promises.js';
import { sample } from '../../lib/sampling.js';
import { nativeBackends } from '../support/backends.js';
import { row } from '../support/cases.js';
import { cache, root } from '../support/emulated.js';
import { run } from '../support/run.js';
import { itWith, tool } from '../support/tools.js';

const compiler = tool('g++', ['g++', '--version']);

/** Controls of x64 (MXCSR) and of arm64 (FPCR). */
const CONTROLS: Record<string, Record<string, number>> = {
  x64: { 'flush to zero': 0x9f80, 'subnormals are zero': 0x1fc0, both: 0x9fc0, down: 0x3f80, up: 0x5f80, cut: 0x7f80 },
  arm64: { 'flush to zero': 1 << 24, up: 1 << 22, down: 2 << 22, cut: 3 << 22 },
};

interface Foreign {
  under(control: number, f: () => void): number;
}

async function foreignAddon(): Promise<Foreign> {
  const [source, file] = [path.join(root, 'test/native/programs/control.c'), path.join(cache, 'control.node')];
  mkdirSync(cache, { recursive: true });
  const headers = path.join(root, 'node_modules/node-api-headers/include');
  const undefinedSymbols = process.platform === 'darwin' ? ['-undefined', 'dynamic_lookup'] : [];
  await run('gcc', ['-O1', '-shared', '-fPIC', `-I${headers}`, ...undefinedSymbols, '-o', file, source], { cwd: root });
  return createRequire(import.meta.url)(file) as Foreign;
}

const long = row('f32', 'N(0,8)', 200_000);
const deep = row('f32', 'down into the subnormals', 1000);
const doubles = row('f64', 'down into the subnormals', 1000);
const [q, k] = [row('f32', 'N(0,1)', 64 * 4), row('f32', 'N(0,1)', 64 * 50)];

/** Results of several families. */
const results = (): ArrayBufferView[] => {
  const { mantissa, exponent } = expSum(long);
  return [
    ...[softmax(deep), softmax(doubles), softmax(long), logSoftmax(deep), logSumExp(long), crossEntropy(long, [7])],
    ...[mantissa, exponent, attention(q, k, k, { heads: 1, headDim: 64 })],
    sample(long, { temperature: 0.7, topP: 0.9, seed: 3, step: 1 }),
  ];
};
const bytesOf = (arrays: readonly ArrayBufferView[]): Buffer =>
  Buffer.concat(arrays.map(({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength)));

describe.each(nativeBackends)('%s', (name) => {
  const before = inForce();
  let foreign: Foreign | undefined;
  beforeAll(async () => {
    if (compiler.available) foreign = await foreignAddon();
    runOn(chosenBackend(name));
  });
  afterAll(() => {
    setThreads(2);
    runOn(before);
  });

  for (const [control, bits] of Object.entries(CONTROLS[process.arch] ?? {})) {
    for (const threads of [1, 2]) {
      itWith([compiler], `has the same bits under "${control}" on ${threads} threads, and leaves it`, () => {
        const expected = bytesOf(results());
        setThreads(1); // ends the threads: others begin under the control
        setThreads(threads);
        let found: ArrayBufferView[] = [];
        expect(foreign!.under(bits, () => (found = results()))).toBe(bits);
        expect(bytesOf(found).equals(expected)).toBe(true);
      });
    }

    itWith([compiler], `has the same bits as a promise that begins under "${control}"`, async () => {
      const expected = bytesOf([softmax(long)]);
      let promise: Promise<Float32Array> | undefined;
      expect(foreign!.under(bits, () => (promise = promises.softmax(long)))).toBe(bits);
      expect(bytesOf([(await promise)!]).equals(expected)).toBe(true);
    });
  }
});
