/** The choice of a backend, with and without an addon and FLASH_SOFTMAX_BACKEND; the answer of capabilities(). */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { BACKEND_NAMES, type BackendName, type Kernels } from '../../lib/backend/backend.js';
import type { Addon, Native } from '../../lib/backend/native.js';
import type { Wasm } from '../../lib/backend/wasm/host.js';

const path = '/somewhere/flash_softmax.node';
const absent: Native = { addon: null, error: 'No native build was found' };
const noWasm: Wasm = { error: 'there is none' };

/** An addon whose kernels record their calls. */
function addon(...backends: BackendName[]): { native: Native; ran: string[] } {
  const ran: string[] = [];
  const kernels = (isa: BackendName) =>
    ({
      softmax_f32: () => void ran.push(`${isa} f32`),
      softmax_f64: () => void ran.push(`${isa} f64`),
    }) as unknown as Kernels;
  const machine = () => ({ processor: 'Test', features: ['fma'], caches: { l1d: 1, l2: 2, l3: 3 } });
  const plan = () => ({ twoPassBytes: 4, streamBytes: 5, parallelBytes: 6 });
  const memory = { prepare: () => 0, release: () => undefined };
  const jobs = () => expect.fail('no job is started');
  const fake: Addon = { backends, kernels, machine, plan, threads: () => 7, ...memory, jobs };
  return { native: { addon: fake, path }, ran };
}

/** The library as a new process loads it, with this addon and this environment. */
async function load(native: Native, wanted?: string, host: Wasm = noWasm) {
  vi.stubEnv('FLASH_SOFTMAX_BACKEND', wanted);
  vi.doMock('../../lib/backend/native.js', async (original) => ({
    ...(await original<object>()),
    native: () => native,
  }));
  vi.doMock('../../lib/backend/wasm/host.js', () => ({ wasm: () => host }));
  const select = await import('../../lib/backend/choice.js');
  const { softmax, capabilities } = await import('../../lib/index.js');
  const { backendNamed } = await import('../../lib/backend/named.js');
  const { js } = await import('../../lib/js/index.js');
  const backend = () => select.backend(js);
  const backendFor = (elements: number) => select.backendFor(elements, js);
  return { ...select, backend, backendFor, backendNamed, softmax, capabilities };
}

beforeEach(() => {
  vi.resetModules();
});

afterEach(() => {
  vi.doUnmock('../../lib/backend/native.js');
  vi.doUnmock('../../lib/backend/wasm/host.js');
  vi.unstubAllEnvs();
});

describe('without an addon', () => {
  it('JavaScript runs', async () => {
    const { backend, availableBackends, capabilities, softmax } = await load(absent);
    expect(availableBackends()).toEqual(['js']);
    expect(backend().name).toBe('js');
    expect([...softmax(new Float32Array(1000))]).toEqual(Array(1000).fill(Math.fround(1 / 1000)));
    expect(capabilities()).toMatchObject({
      backend: 'js',
      reason: 'the native addon is absent, and so is WebAssembly: there is none',
      available: ['js'],
      jsMaxElements: 0,
      native: { loaded: false, error: absent.error },
      wasm: { loaded: false, error: 'there is none' },
      processor: expect.stringMatching(/./),
      features: [],
      caches: { l1d: 0, l2: 0, l3: 0 },
      threads: 1,
      plan: null,
    });
  });

  it('asking for another backend is an error that lists the available ones and the reason', async () => {
    for (const wanted of ['avx2', 'AVX2', 'fastest']) {
      vi.resetModules();
      const { backend, capabilities, softmax, backendNamed } = await load(absent, wanted);
      const error = { name: 'RangeError', code: 'ERR_INVALID_ARG_VALUE' };
      const reason = 'no native addon: No native build was found; no WebAssembly: there is none';
      const message = `Expected one of js for FLASH_SOFTMAX_BACKEND but received '${wanted}' (${reason})`;
      for (const use of [backend, capabilities, () => softmax(new Float32Array(3))]) {
        expect(use).toThrow(expect.objectContaining({ ...error, message }));
      }
      expect(() => backendNamed('avx2')).toThrow(
        /^Expected one of js for the name of a backend but received 'avx2' \(no native addon/,
      );
      expect(backendNamed('js').name).toBe('js');
    }
  });
});

describe('with an addon', () => {
  it('its first instruction set runs, but JavaScript for few elements', async () => {
    const { native, ran } = addon('avx2', 'scalar');
    const { availableBackends, backend, backendFor, capabilities, softmax, JS_MAX_ELEMENTS } = await load(native);
    expect(availableBackends()).toEqual(['avx2', 'scalar', 'js']);
    expect(backend().name).toBe('avx2');
    expect(backendFor(JS_MAX_ELEMENTS).name).toBe('js');
    expect(backendFor(JS_MAX_ELEMENTS + 1)).toBe(backend());

    softmax(new Float32Array(0));
    softmax(new Float32Array(JS_MAX_ELEMENTS));
    softmax(new Float64Array(JS_MAX_ELEMENTS), { cols: 1 });
    expect(ran).toEqual([]);
    softmax(new Float32Array(JS_MAX_ELEMENTS + 1));
    softmax(new Float64Array(JS_MAX_ELEMENTS + 1), { cols: 1 });
    expect(ran).toEqual(['avx2 f32', 'avx2 f64']);

    expect(capabilities()).toEqual({
      backend: 'avx2',
      reason: 'the best that this processor and its operating system allow',
      available: ['avx2', 'scalar', 'js'],
      jsMaxElements: JS_MAX_ELEMENTS,
      native: { loaded: true, path },
      wasm: { loaded: false, error: 'there is none' },
      processor: 'Test',
      features: ['fma'],
      caches: { l1d: 1, l2: 2, l3: 3 },
      threads: 7,
      plan: { twoPassBytes: 4, streamBytes: 5, parallelBytes: 6, source: 'built-in' },
    });
  });

  it('a forced backend always runs', async () => {
    for (const wanted of ['avx512', 'scalar', 'js'] as const) {
      vi.resetModules();
      const { native, ran } = addon('avx512', 'avx2', 'scalar');
      const { backend, capabilities, softmax } = await load(native, wanted);
      expect(backend().name).toBe(wanted);
      expect(capabilities()).toMatchObject({
        backend: wanted,
        reason: 'FLASH_SOFTMAX_BACKEND asks for it',
        jsMaxElements: 0,
      });
      softmax(new Float32Array(1));
      softmax(new Float64Array(1000));
      expect(ran).toEqual(wanted === 'js' ? [] : [`${wanted} f32`, `${wanted} f64`]);
    }
  });

  it('scalar code never runs unless it is asked for, as JavaScript is faster', async () => {
    const { native, ran } = addon('scalar');
    const { availableBackends, backend, capabilities, softmax } = await load(native);
    expect(availableBackends()).toEqual(['scalar', 'js']);
    expect(backend().name).toBe('js');
    softmax(new Float32Array(1000));
    expect(ran).toEqual([]);
    const reason = expect.stringContaining('no vector instructions');
    expect(capabilities()).toMatchObject({
      backend: 'js',
      reason,
      jsMaxElements: 0,
      threads: 1,
      native: { loaded: true },
    });
  });

  it('an addon without an instruction set of this machine leaves calls to JavaScript', async () => {
    const { backend, capabilities, availableBackends } = await load(addon().native);
    expect(availableBackends()).toEqual(['js']);
    expect(backend().name).toBe('js');
    expect(capabilities()).toMatchObject({
      backend: 'js',
      reason: expect.stringContaining('no vector instructions'),
      threads: 1,
      native: { loaded: true },
    });
    vi.resetModules();
    const { softmax } = await load(addon().native, 'scalar');
    expect(() => softmax(new Float32Array(3))).toThrow(
      "Expected one of js for FLASH_SOFTMAX_BACKEND but received 'scalar'",
    );
  });

  it('a backend that this machine lacks is an error', async () => {
    const { softmax } = await load(addon('avx2', 'scalar').native, 'neon');
    expect(() => softmax(new Float32Array(3))).toThrow(
      "Expected one of avx2, scalar, js for FLASH_SOFTMAX_BACKEND but received 'neon'",
    );
  });

  it('an empty FLASH_SOFTMAX_BACKEND asks for nothing', async () => {
    const { capabilities } = await load(addon('neon', 'scalar').native, '');
    expect(capabilities()).toMatchObject({ backend: 'neon', reason: expect.stringMatching(/^the best/) });
  });

  it('each backend is made once', async () => {
    const { backend, backendNamed } = await load(addon('avx512', 'avx2').native);
    expect(backendNamed('avx512')).toBe(backend());
    expect(backendNamed('avx2')).toBe(backendNamed('avx2'));
    expect(Object.keys(backendNamed('avx2'))).toEqual(['name', 'softmax_f32', 'softmax_f64']);
  });
});

describe('with WebAssembly', () => {
  const ran: string[] = [];
  const kernels = { softmax_f32: () => void ran.push('wasm f32') } as unknown as Kernels;
  const host = { backend: { name: 'wasm', ...kernels }, isWhole: true, threads: () => 1 } as unknown as Wasm;

  it('it runs without an addon, for any number of elements, and where the addon has scalar code alone', async () => {
    for (const native of [absent, addon('scalar').native]) {
      vi.resetModules();
      const { backend, capabilities, softmax, availableBackends } = await load(native, undefined, host);
      expect(availableBackends().filter((name) => name !== 'scalar')).toEqual(['wasm', 'js']);
      expect(backend().name).toBe('wasm');
      expect(capabilities()).toMatchObject({ backend: 'wasm', jsMaxElements: 0, wasm: { loaded: true }, threads: 1 });
      ran.length = 0;
      softmax(new Float32Array(1));
      expect(ran).toEqual(['wasm f32']);
    }
  });

  it('the addon is chosen before it, and it can be asked for', async () => {
    const { backend, availableBackends } = await load(addon('avx2', 'scalar').native, undefined, host);
    expect(availableBackends()).toEqual(['avx2', 'wasm', 'scalar', 'js']);
    expect(backend().name).toBe('avx2');
    vi.resetModules();
    const { capabilities } = await load(addon('avx2').native, 'wasm', host);
    expect(capabilities()).toMatchObject({ backend: 'wasm', reason: 'FLASH_SOFTMAX_BACKEND asks for it' });
  });

  it('kernels of modules that are missing are those of JavaScript', async () => {
    const { backend } = await load(absent, undefined, { ...host, isWhole: false } as Wasm);
    const { js } = await import('../../lib/js/index.js');
    expect(backend().softmax_f32).toBe(kernels.softmax_f32);
    expect(backend().softmax_f64).toBe(js.softmax_f64);
    expect(backend()).toBe(backend());
  });
});

describe('on this machine', () => {
  it('all backends have kernels of the same names', async () => {
    const { availableBackends } = await import('../../lib/backend/choice.js');
    const { backendNamed } = await import('../../lib/backend/named.js');
    for (const name of availableBackends())
      expect(Object.keys(backendNamed(name)).sort(), name).toEqual(Object.keys(backendNamed('js')).sort());
  });

  it('the loader finds the addon, or gives the reason in one line', async () => {
    const { native } = await import('../../lib/backend/native.js');
    const { addon, path, error } = native();
    expect(native()).toBe(native());
    if (addon === null) {
      expect(error).toMatch(/^.+$/);
    } else {
      expect(path).toMatch(/\.node$/);
      expect(addon.backends.length).toBeGreaterThan(0);
      expect(BACKEND_NAMES).toEqual(expect.arrayContaining([...addon.backends]));
    }
  });
});
