/**
 * Missing memory is an error with the code ERR_MEMORY_ALLOCATION_FAILED, for every operator, sync and promise, and
 * outputs stay as they were. Each allocation of the addon fails in turn, in another process. (test/native/memory.cc
 * tests the kernels alone, test/native/programs/stress.cc the pool.)
 */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect } from 'vitest';
import { native } from '../../lib/backend/native.js';
import { nativeBackends } from '../support/backends.js';
import { cache, root } from '../support/emulated.js';
import { run } from '../support/run.js';
import { itWith, tool } from '../support/tools.js';

interface Outcome {
  loads: number;
  failed: number;
  kept: number;
  sync: string[];
  promise: string[];
  wrong: string[];
}

const compiler = tool('g++', ['g++', '--version']);
const { header } = process.report.getReport() as { header: object };
const isGlibc = process.platform === 'linux' && 'glibcVersionRuntime' in header;
/** Kernels that allocate nothing: they read rows in place (normalize: halves, too), or write existing pages. */
const needNone = new RegExp(
  '^((normalize|argmax|moments|row_loss|taylor_softmax|z_loss|soft_top_k|soft_top_k_backward|safe_step_radius)' +
    '_f(32|64)|normalize_b?f16|decode_yolo_f32|linear_append_f32|head_(rows|sums)_f32|kv_append_\\w+)$',
);
/** argmax has no promise, and the Sampler's has another name. */
const isLater = (name: string): boolean => !/^(argmax|sample_penalized)/.test(name);

describe.runIf(isGlibc && nativeBackends.length > 0)('memory that cannot be had', () => {
  const library = join(cache, 'starve.so');
  beforeAll(async () => {
    expect(existsSync(join(root, 'dist', 'index.js')), 'dist/ is there (npm run compile)').toBe(true);
    if (!compiler.available) return;
    mkdirSync(cache, { recursive: true });
    const flags = ['-std=c++17', '-O1', '-Wall', '-Wextra', '-Werror', '-shared', '-fPIC'];
    await run('g++', [...flags, '-o', library, join(root, 'test/native/programs/starve.cc'), '-ldl']);
  });

  // The scalar reference has the same kernel text and takes minutes.
  for (const name of nativeBackends.filter((each) => each !== 'scalar')) {
    itWith(
      compiler,
      `is a coded error of every operator on ${name}, and nothing is written or lost`,
      async () => {
        const env = { LD_PRELOAD: library, FLASH_SOFTMAX_BACKEND: name, FLASH_SOFTMAX_THREADS: '1' };
        const args = [join(root, 'test/native/programs/starve.mjs'), native().path!, join(root, 'dist/')];
        const output = await run(process.execPath, ['--expose-gc', ...args], { env });
        const { loads, failed, kept, sync, promise, wrong } = JSON.parse(output) as Outcome;
        expect(wrong).toEqual([]);
        expect(loads).toBeGreaterThan(5);
        expect(failed).toBeGreaterThan(200);
        expect(kept).toBe(0);
        const all = Object.keys(native().addon!.kernels(name));
        const expected = all.filter((each) => !needNone.test(each)).sort();
        expect(sync).toEqual(expected);
        expect(promise).toEqual(expected.filter(isLater));
      },
      300_000,
    );
  }
});
