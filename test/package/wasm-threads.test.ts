/**
 * Threads of the WebAssembly backend: bits, errors, and how they begin and end. test/package/wasm-browser.test.ts has a
 * page with threads.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { wasm } from '../../lib/backend/wasm/host.js';
import { functionOf } from '../../lib/backend/wasm/kernels.js';
import { kernelsOf } from '../../lib/backend/wasm/parameters.js';
import { sharedWork, startThreads, threads } from '../../lib/backend/wasm/pool.js';
import { inRegion } from '../../lib/backend/wasm/regions.js';
import { sharedModule } from '../../lib/backend/wasm/shared-module.js';
import { SIGNATURES } from '../../lib/backend/wasm/signatures.js';
import { FIXED, FRAME, STACK, WORKER_BYTES } from '../../lib/backend/wasm/space.js';
import { kindOf, lengthOf } from '../../lib/call/arrays.js';
import type { ArrayKind } from '../../lib/call/arrays.js';
import { backends } from '../support/backends.js';
import { root } from '../support/emulated.js';
import { run } from '../support/run.js';
import { itWith } from '../support/tools.js';
import { callOf, resultsOf, type Numbers } from '../support/wasm-calls.js';

const relaxed = { name: 'relaxed SIMD', available: backends.includes('wasm'), path: '' };
const built = { name: 'npm run compile', available: existsSync(path.join(root, 'dist/index.js')), path: '' };
const operators = SIGNATURES.map(kernelsOf).filter(([first]) => first!.rows >= 0);
const softmax = operators.flat().find(({ kernel }) => kernel === 'softmax_f32')!;

beforeAll(async () => {
  if (!relaxed.available) return;
  wasm(); // finds the modules
  threads(3);
  await startThreads();
});

/** A copy of an array in memory that threads share. */
function inPlace(value: unknown): unknown {
  if (!ArrayBuffer.isView(value)) return value;
  const array = inRegion(kindOf(value) as ArrayKind, lengthOf(value))! as Numbers;
  array.set(value as Numbers);
  return array;
}

describe('calls of many rows', () => {
  for (const kernels of operators)
    itWith([relaxed], `${kernels[0]!.operator} has the same bits on three threads`, () => {
      for (const kernel of kernels) {
        const alone = functionOf(kernel, 2 ** 30, 2 ** 30);
        const shared = functionOf(kernel, 16, 0);
        const hasMask = kernel.parameters.some(({ name }) => name === 'maskLayout');
        for (const layout of hasMask ? [0, 1, 2, 3, 4] : [0])
          for (const isWhole of [false, true]) {
            const make = (): unknown[] => callOf(kernel, layout, isWhole);
            const [expected, copied, placed] = [make(), make(), make().map(inPlace)];
            alone(...expected);
            shared(...copied);
            shared(...placed);
            const results = resultsOf(kernel, expected);
            expect(resultsOf(kernel, copied), `${kernel.kernel}, mask ${layout}`).toEqual(results);
            expect(resultsOf(kernel, placed), `${kernel.kernel} in place, mask ${layout}`).toEqual(results);
          }
      }
    });

  itWith([relaxed], 'are done by all threads, and leave static data as they were', async () => {
    const [x, out] = [new Float32Array(2 ** 20).fill(1), new Float32Array(2 ** 20)];
    const space = sharedWork()!;
    const bytes = (): Uint8Array => Uint8Array.from(space.all<Uint8Array>('Uint8Array').subarray(STACK, FRAME));
    functionOf(softmax)(x, out, 2 ** 10, 2 ** 10, 1, 1, null, 0, null);
    const before = bytes();
    const slots = [0, 1].map((i) => space.part('Float64Array', FIXED + i * WORKER_BYTES + STACK, 48) as Float64Array);
    slots.forEach((each) => each.fill(0));
    const helped = (): boolean => slots.every((each) => each[0]! > 0);
    for (let tries = 0; tries < 500 && !helped(); tries++) {
      functionOf(softmax)(x, out, 2 ** 10, 2 ** 10, 1, 1, null, 0, null);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    expect(helped()).toBe(true);
    expect(new Set(out)).toEqual(new Set([2 ** -10]));
    expect(bytes()).toEqual(before);
  });

  itWith([relaxed], 'have rows that need more memory than a thread has of its own', () => {
    const kernel = operators.flat().find(({ kernel: name }) => name === 'softmax_f16')!;
    const rows = 3;
    const cols = 2 ** 22;
    const x = new Uint16Array(rows * cols).fill(0x3c00);
    const [copied, placed] = [x.slice(), inRegion('Uint16Array', x.length)!];
    placed.set(x);
    for (const each of [copied, placed]) functionOf(kernel)(each, each, rows, cols, 1, 1, null, 0, null);
    const differences = copied.reduce((sum, bits, i) => sum + Number(bits !== 0x0004 || placed[i] !== bits), 0);
    expect(differences).toBe(0);
    const frame = sharedWork()!.part('Float64Array', FIXED + STACK, 64) as Float64Array;
    expect(frame[52], 'bytes that a thread lacked').toBeGreaterThan(2 ** 22);
  });
});

describe('errors', () => {
  itWith([relaxed], 'of lengths write nothing', () => {
    const [x, out] = [new Float32Array(99_999), new Float32Array(100_000).fill(7)];
    const call = functionOf(softmax, 1024, 0);
    expect(() => call(x, out, 1000, 100, 1, 1, null, 0, null)).toThrow(
      expect.objectContaining({
        message: expect.stringMatching(/^Expected 100000 elements for x of softmax/),
        code: 'ERR_INVALID_ARG_VALUE',
      }),
    );
    expect(new Set(out)).toEqual(new Set([7]));
  });

  itWith([relaxed], 'of a kernel in a thread are those of the caller', () => {
    const x = new Float32Array(2 ** 16);
    const lost = functionOf({ ...softmax, kernel: 'softmax_f99' }, 1024, 0);
    expect(() => lost(x, x, 2 ** 8, 2 ** 8, 1, 1, null, 0, null)).toThrow(TypeError);
    functionOf(softmax, 1024, 0)(x, x, 2 ** 8, 2 ** 8, 1, 1, null, 0, null);
    expect(new Set(x)).toEqual(new Set([2 ** -8]));
  });

  it('are refused of bytes that are no module', () => {
    expect(() => sharedModule(new Uint8Array(8))).toThrow(TypeError);
    expect(() => sharedModule(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 2, 7, 1, 1, 97, 1, 98, 0, 0))).toThrow(
      TypeError,
    );
  });
});

describe.runIf(built.available && relaxed.available)('threads of a process', () => {
  const entry = path.join(root, 'dist/index.js');
  const program = (text: string): string => `
    import { capabilities, setThreads, softmax } from ${JSON.stringify(entry)};
    const x = new Float32Array(2 ** 20);
    const call = () => softmax(x, { cols: 2 ** 10 })[0] === 2 ** -10;
    ${text}`;
  const node = (text: string, ...flags: string[]): Promise<string> =>
    run(process.execPath, [...flags, ...process.execArgv, '--input-type=module', '-e', program(text)], {
      env: { FLASH_SOFTMAX_BACKEND: 'wasm', FLASH_SOFTMAX_THREADS: '' },
    });

  it('keep it no longer than it would be, and begin with a call', async () => {
    const text = `console.log(setThreads(3), capabilities().threads, call());
      setTimeout(() => console.log(call(), setThreads(1), capabilities().threads), 300);`;
    expect(await node(text)).toBe('1 3 true\ntrue 3 1\n');
    expect(await node(`setThreads(2); call(); setTimeout(() => { call(); process.exit(0); }, 300);`)).toBe('');
  });

  it('are as many as FLASH_SOFTMAX_THREADS says', async () => {
    const text = `process.env.FLASH_SOFTMAX_THREADS = '2'; console.log(capabilities().threads, call());`;
    expect(await node(text)).toBe('2 true\n');
  });

  it('end with a worker thread that has them', async () => {
    const text = `import { Worker } from 'node:worker_threads';
      const text = "import('" + ${JSON.stringify(entry)} + "').then(({ setThreads, softmax }) => { setThreads(2);" +
        "setInterval(() => softmax(new Float32Array(2 ** 20), { cols: 2 ** 10 }), 1);" +
        "require('node:worker_threads').parentPort.postMessage(0); });";
      const worker = new Worker(text, { eval: true, execArgv: [] });
      worker.once('message', () => setTimeout(async () => console.log(await worker.terminate()), 300));`;
    expect(await node(text)).toBe('1\n');
  });

  it('are not there where none may start', async () => {
    const [major] = process.versions.node.split('.').map(Number) as [number];
    const permission = major < 22 ? '--experimental-permission' : '--permission';
    const text = `setThreads(4); console.log(call(), capabilities().threads, capabilities().backend);`;
    expect(await node(text, permission, '--allow-fs-read=*')).toBe('true 1 wasm\n');
  });
});
