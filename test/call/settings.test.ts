/** Threads and the plan: setThreads, FLASH_SOFTMAX_THREADS and FLASH_SOFTMAX_PROFILE. They change speed, never bits. */
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { native, type Plan } from '../../lib/backend/native.js';
import { isNative, nativeBackends, softmaxOn } from '../support/backends.js';
import { firstDifference, row } from '../support/cases.js';
import { temporaryDirectory } from '../cli/capture.js';

/** The library as a new process with this environment loads it. */
async function load(env: { threads?: string; profile?: string } = {}) {
  vi.resetModules();
  vi.stubEnv('FLASH_SOFTMAX_THREADS', env.threads);
  vi.stubEnv('FLASH_SOFTMAX_PROFILE', env.profile);
  vi.stubEnv('FLASH_SOFTMAX_BACKEND', undefined);
  return await import('../../lib/index.js');
}

function profile(text: string): string {
  const path = join(temporaryDirectory(), 'profile.json');
  writeFileSync(path, text);
  return path;
}

const { addon } = native();
const set = ({ twoPassBytes, streamBytes, parallelBytes }: Plan) =>
  addon!.plan(twoPassBytes, streamBytes, parallelBytes);
const before = addon && { plan: addon.plan(), threads: addon.threads() };

beforeEach(() => void vi.resetModules());
afterEach(() => {
  vi.unstubAllEnvs();
  if (before) (set(before.plan), addon!.threads(before.threads));
});

describe('setThreads', () => {
  it('takes integers from 1 to 1024 and nothing else', async () => {
    const { setThreads, capabilities } = await load();
    const { threads } = capabilities();
    for (const wrong of ['2', null, undefined, 2n, {}]) {
      expect(() => setThreads(wrong as number)).toThrow(
        expect.objectContaining({ name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' }),
      );
    }
    for (const wrong of [0, -1, 1.5, NaN, Infinity, 1025]) {
      expect(() => setThreads(wrong)).toThrow(
        expect.objectContaining({ name: 'RangeError', code: 'ERR_OUT_OF_RANGE' }),
      );
    }
    expect(() => setThreads(0)).toThrow('Expected an integer from 1 to 1024 for the number of threads but received 0');
    expect(capabilities().threads).toBe(threads);
  });

  it.runIf(addon)('returns the number until then, and capabilities() tells it', async () => {
    const { setThreads, capabilities } = await load();
    setThreads(3);
    expect(setThreads(5)).toBe(3);
    const { threads, backend } = capabilities();
    expect(threads).toBe(isNative(backend) ? 5 : 1);
    expect(setThreads(1)).toBe(5);
  });
});

describe('FLASH_SOFTMAX_THREADS', () => {
  it('must be an integer from 1 to 1024', async () => {
    for (const wrong of ['0', '-1', '1.5', 'two', '1025', ' 2']) {
      const { capabilities, softmax } = await load({ threads: wrong });
      const message = `Expected an integer from 1 to 1024 for FLASH_SOFTMAX_THREADS but received '${wrong}'`;
      for (const use of [capabilities, () => softmax(new Float32Array(3))]) {
        expect(use).toThrow(expect.objectContaining({ name: 'RangeError', code: 'ERR_INVALID_ARG_VALUE', message }));
      }
    }
  });

  it('is by default what can run at the same time', async () => {
    const threads: unknown[][] = [];
    const fake = {
      backends: ['avx2'],
      machine: () => ({ features: [] }),
      kernels: () => ({}),
      plan: () => ({}),
      threads: (...args: unknown[]) => threads.push(args),
    };
    vi.doMock('../../lib/backend/native.js', async (original) => ({
      ...(await original<object>()),
      native: () => ({ addon: fake, path: '' }),
    }));
    for (const [text, wanted] of [
      [undefined, availableParallelism()],
      ['', availableParallelism()],
      ['7', 7],
    ] as const) {
      threads.length = 0;
      (await load(text === undefined ? {} : { threads: text })).capabilities();
      expect(threads[0], 'and leaves alone what has been set').toEqual([wanted, true]);
    }
    vi.doUnmock('../../lib/backend/native.js');
  });
});

describe('FLASH_SOFTMAX_PROFILE', () => {
  it('with a bad value is an error that names file and field, at first use', async () => {
    const missing = join(temporaryDirectory(), 'none.json');
    const cases: [string, string][] = [
      [missing, `Expected a file that can be read for FLASH_SOFTMAX_PROFILE but received '${missing}' (ENOENT)`],
      ...[
        ['{', /^Expected JSON for the profile '.+' but received text that is none \(.+\)$/],
        ['[]', /^Expected an object for the profile '.+' but received an Array$/],
        ['null', /^Expected an object for the profile '.+' but received null$/],
        ['{}', /^Expected 1 for version in the profile '.+' but received undefined$/],
        ['{"version": 2}', /^Expected 1 for version in the profile '.+' but received 2$/],
        ['{"version": 1, "streamBytes": -1}', /for streamBytes in the profile '.+' but received -1$/],
        [
          '{"version": 1, "twoPassBytes": "1M"}',
          /^Expected a whole number of bytes or null for twoPassBytes in .+ received '1M'$/,
        ],
        ['{"version": 1, "parallelBytes": 0.5}', /for parallelBytes in the profile '.+' but received 0.5$/],
        [
          '{"version": 1, "jsMaxElements": 8}',
          /^Expected only version, .+ for the fields in the profile '.+' but received 'jsMaxElements'$/,
        ],
        ['{"version": 1, "processor": 8}', /^Expected a string for processor in the profile '.+' but received 8$/],
      ].map(([text, message]): [string, string] => [profile(text as string), message as string]),
    ];
    for (const [path, message] of cases) {
      const { capabilities, softmax } = await load({ profile: path });
      for (const use of [capabilities, () => softmax(new Float32Array(3))]) {
        expect(use).toThrow(message);
        expect(use).toThrow(expect.objectContaining({ name: 'RangeError', code: 'ERR_INVALID_ARG_VALUE' }));
      }
    }
  });

  it.runIf(addon)('sets the thresholds that it mentions, null being never', async () => {
    const path = profile('{"version": 1, "processor": "any", "streamBytes": null, "parallelBytes": 12345}');
    const { capabilities } = await load({ profile: path });
    const { twoPassBytes } = before!.plan;
    expect(capabilities().plan).toEqual({ twoPassBytes, streamBytes: Infinity, parallelBytes: 12345, source: path });
  });
});

describe('no bit depends on', () => {
  const plans: [string, Plan][] = [
    ['storing', { twoPassBytes: Infinity, streamBytes: Infinity, parallelBytes: Infinity }],
    ['reading twice', { twoPassBytes: 0, streamBytes: Infinity, parallelBytes: Infinity }],
    ['streaming', { twoPassBytes: 0, streamBytes: 0, parallelBytes: Infinity }],
    ['storing, shared', { twoPassBytes: Infinity, streamBytes: Infinity, parallelBytes: 0 }],
    ['streaming, shared', { twoPassBytes: 1, streamBytes: 1, parallelBytes: 1 }],
  ];
  const shapes = [
    [1, 7],
    [3, 100],
    [1, 20_001],
    [500, 50],
    [1, 600_011],
    [3, 300_001],
  ] as const;

  for (const name of nativeBackends) {
    it(`the plan or the number of threads: ${name}`, () => {
      for (const type of ['f32', 'f64'] as const) {
        for (const [rows, cols] of name === 'scalar' ? shapes.slice(0, -1) : shapes) {
          const x = row(type, 'N(0,8)', rows * cols);
          set(plans[0]![1]);
          const wanted = softmaxOn(name, x, { cols });
          for (const [what, plan] of plans.slice(1)) {
            set(plan);
            for (const threads of plan.parallelBytes === Infinity ? [1] : [1, 2, 3, 8]) {
              addon!.threads(threads);
              const difference = firstDifference(softmaxOn(name, x, { cols }), wanted);
              expect(difference, `${type}, ${rows} × ${cols}, ${what}, ${threads} threads`).toBe(-1);
            }
          }
        }
      }
    }, 120_000);
  }
});
