/**
 * The WebAssembly modules: their sizes, what they import and export, the entry points that load them, and arrays in
 * their memory. All other tests of backends run on WebAssembly as well.
 */
import { readFileSync, readdirSync, existsSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SIGNATURES } from '../../lib/backend/wasm/signatures.js';
import { MODULE_NAMES } from '../../lib/backend/wasm/wasm.js';
import { backends } from '../support/backends.js';
import { row } from '../support/cases.js';
import { root } from '../support/emulated.js';
import { itWith } from '../support/tools.js';

/** Bytes that a module may have, plainly and compressed. What comes to softmax and its kin must be small. */
const LIMITS: Readonly<Record<string, readonly [bytes: number, compressed: number]>> = {
  softmax: [300 * 1024, 100 * 1024],
  logarithms: [300 * 1024, 100 * 1024],
  losses: [200_000, 70_000],
  attention: [180_000, 60_000],
  sampling: [180_000, 60_000],
  detection: [40_000, 20_000],
  routing: [120_000, 40_000],
  head: [160_000, 50_000],
};

const file = (name: string) => path.join(root, 'wasm', `${name}.wasm`);
const modules = {
  name: 'clang 19 and lld 19',
  available: MODULE_NAMES.every((name) => existsSync(file(name))),
  path: '',
};
const relaxed = { name: 'relaxed SIMD', available: backends.includes('wasm'), path: '' };

interface Engine {
  Module: { new (bytes: Uint8Array): object; imports(m: object): unknown[]; exports(m: object): { name: string }[] };
}
const { WebAssembly } = globalThis as unknown as { WebAssembly: Engine };

describe('modules', () => {
  itWith(modules, 'are those of modules.json, and small', () => {
    expect(readdirSync(path.join(root, 'wasm')).sort()).toEqual(MODULE_NAMES.map((name) => `${name}.wasm`).sort());
    expect(Object.keys(LIMITS).sort()).toEqual([...MODULE_NAMES].sort());
    for (const [name, [bytes, compressed]] of Object.entries(LIMITS)) {
      const module = readFileSync(file(name));
      expect(module.length, name).toBeLessThanOrEqual(bytes);
      expect(gzipSync(module, { level: 9 }).length, `${name}, compressed`).toBeLessThanOrEqual(compressed);
    }
  });

  itWith([modules, relaxed], 'import a memory and nothing else, and export their kernels', () => {
    for (const name of MODULE_NAMES) {
      const module = new WebAssembly.Module(readFileSync(file(name)));
      expect(WebAssembly.Module.imports(module)).toEqual([{ module: 'env', name: 'memory', kind: 'memory' }]);
      const kernels = SIGNATURES.filter(([, each]) => each === name).flatMap(([operator, , types]) =>
        types.split(' ').map((type) => `${operator}_${type.split(':')[0]}`),
      );
      const exported = WebAssembly.Module.exports(module).map((each) => each.name);
      expect(exported.sort()).toEqual(['__stack_pointer', 'enter', ...kernels].sort());
    }
  });
});

describe('the backend', () => {
  beforeEach(() => {
    vi.resetModules();
    vi.stubEnv('FLASH_SOFTMAX_BACKEND', 'wasm');
  });
  afterEach(() => vi.unstubAllEnvs());

  itWith(
    [modules, relaxed],
    'allocates arrays that kernels use where they are, which growth does not detach',
    async () => {
      const { allocate, capabilities, softmax } = await import('../../lib/index.js');
      expect(capabilities()).toMatchObject({ backend: 'wasm', wasm: { loaded: true }, threads: 1 });
      const [x, out] = [allocate('float32', 1000), allocate('float32', 1000)];
      expect(x.buffer).toBe(out.buffer);
      x.set(row('f32', 'N(0,1)', 1000));
      const expected = softmax(Float32Array.from(x));
      expect(softmax(x, { out })).toBe(out);
      expect(out).toEqual(expected);
      const large = new Float32Array(2 ** 23);
      softmax(large, { cols: 2 ** 20, out: large });
      const many = Array.from({ length: 40 }, () => allocate('float64', 2 ** 18));
      expect(new Set(many.map(({ buffer }) => buffer)).size).toBeGreaterThan(1);
      expect(softmax(x, { out })).toEqual(expected);
      const apart = allocate('float32', 2 ** 24);
      expect(apart.length).toBe(2 ** 24);
      softmax(apart, { out: apart });
      expect(apart[0]).toBe(2 ** -24);
      const mixed = softmax(x, { out: new Float32Array(1000), bias: many[0]!.length ? new Float32Array(1000) : out });
      expect(mixed).toEqual(expected);
    },
  );

  itWith([modules, relaxed], 'allocate refuses types and lengths', async () => {
    const { allocate } = await import('../../lib/index.js');
    expect(() => allocate('float' as 'float32', 3)).toThrow(
      /^Expected one of float32, .* for type but received 'float'/,
    );
    expect(() => allocate('toString' as 'float32', 3)).toThrow(RangeError);
    expect(() => allocate('float32', '3' as unknown as number)).toThrow(TypeError);
    expect(() => allocate('float32', -1)).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }));
    expect(() => allocate('float64', 2 ** 52)).toThrow(
      expect.objectContaining({ code: 'ERR_MEMORY_ALLOCATION_FAILED' }),
    );
  });

  itWith([modules, relaxed], 'leaves what a kernel does not write, and copies no more than results', async () => {
    const { backendNamed } = await import('../../lib/backend/named.js');
    const native = backendNamed(backends[0]!);
    const wasm = backendNamed('wasm');
    for (const backend of [native, wasm]) {
      const out = new Float32Array(50).fill(7);
      backend.softmax_f32(row('f32', 'N(0,1)', 60), out, 4, 10, 1, 1, null, 0, null);
      expect([...out.subarray(40)]).toEqual(Array(10).fill(7));
      const exponent = new Int32Array(3).fill(9);
      const mantissa = new Float64Array(3).fill(9);
      backend.exp_sum_f32(new Float32Array(0), mantissa, exponent, 3, 0, 1, 1, null, 0, null);
      expect(exponent).toHaveLength(3);
    }
  });

  itWith([modules, relaxed], 'runs promises in worker threads, and stops them', async () => {
    const { softmax } = await import('../../lib/index.js');
    const later = await import('../../lib/promises.js');
    const x = row('f32', 'N(0,1)', 100_000);
    expect(await later.softmax(x)).toEqual(softmax(x));
    const stop = new AbortController();
    const stopped = later.softmax(new Float32Array(2 ** 22), { signal: stop.signal });
    stop.abort();
    await expect(stopped).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
  });
});

describe('flash-softmax/wasm without files', () => {
  beforeEach(() => {
    vi.resetModules();
    vi.doMock('../../lib/backend/native.js', () => import('../../lib/backend/portable.js'));
    vi.doMock('../../lib/backend/wasm/host.js', () => import('../../lib/backend/wasm/portable-host.js'));
    vi.doMock('../../lib/backend/wasm/urls.js', () => import('../../lib/backend/wasm/portable-urls.js'));
  });
  afterEach(() => {
    for (const name of ['native', 'wasm/host', 'wasm/urls']) vi.doUnmock(`../../lib/backend/${name}.js`);
  });

  itWith([modules, relaxed], 'runs JavaScript until modules are there, and then these', async () => {
    const { capabilities, softmax, logSoftmax, allocate } = await import('../../lib/index.js');
    const { init, initSync } = await import('../../lib/wasm.js');
    const { js } = await import('../../lib/js/index.js');
    const x = row('f32', 'N(0,1)', 1000);
    expect(capabilities()).toMatchObject({ backend: 'js', wasm: { loaded: false } });
    const [before, logs] = [softmax(x), logSoftmax(x)];
    expect(initSync({ softmax: readFileSync(file('softmax')) })).toBe('wasm');
    expect(capabilities()).toMatchObject({ backend: 'wasm', wasm: { loaded: true } });
    expect(softmax(x)).not.toEqual(before);
    expect(logSoftmax(x), 'its module is not there').toEqual(logs);
    expect(allocate('float32', 4).buffer.byteLength).toBeGreaterThan(16);
    const response = new Response(readFileSync(file('logarithms')), {
      headers: { 'content-type': 'application/wasm' },
    });
    expect(await init({ logarithms: Promise.resolve(response) })).toBe('wasm');
    const { backendNamed } = await import('../../lib/backend/named.js');
    expect(backendNamed('wasm').log_softmax_f32).not.toBe(js.log_softmax_f32);
    const module = new WebAssembly.Module(readFileSync(file('sampling')));
    expect(await init({ sampling: module, head: new Uint8Array(readFileSync(file('head'))) })).toBe('wasm');
  });

  it('refuses names and sources', async () => {
    const { init, initSync } = await import('../../lib/wasm.js');
    await expect(init(['softmin' as 'softmax'])).rejects.toThrow(/^Expected one of softmax, logarithms, /);
    await expect(init(3 as never)).rejects.toThrow(TypeError);
    if (!relaxed.available) return;
    await expect(init({ softmax: 3 as unknown as string })).rejects.toThrow(/for modules.softmax but received 3/);
    await expect(init({ softmax: new Response('', { status: 404 }) })).rejects.toThrow(/status 404/);
    expect(() => initSync({ softmax: 'x.wasm' as unknown as object })).toThrow(/a WebAssembly.Module or its bytes/);
  });
});
