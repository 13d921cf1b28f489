/**
 * A binary that is cut off, empty, of another processor, no addon or the addon of something else, and a WebAssembly
 * module that is cut off: JavaScript runs and says why, or the error has a code. The process never dies.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { native } from '../../lib/backend/native.js';
import { refuseCutBinary } from '../../lib/backend/whole-binary.js';
import { temporaryDirectory } from '../cli/capture.js';
import { backends } from '../support/backends.js';
import { root } from '../support/emulated.js';
import { itWith } from '../support/tools.js';
import { canPreload, node, tools } from './preloaded.js';

const flags = process.execArgv.filter((arg) => arg.includes('wasm'));

/** The package with this binary, or with these bytes for a WebAssembly module. */
function installed(binary: Uint8Array, modules: Record<string, Uint8Array> = {}): string {
  const folder = temporaryDirectory();
  for (const part of ['package.json', 'dist', 'wasm', 'node_modules/node-gyp-build']) {
    expect(existsSync(join(root, part)), `${part} is there (npm run compile)`).toBe(true);
    cpSync(join(root, part), join(folder, part), { recursive: true });
  }
  mkdirSync(join(folder, 'build', 'Release'), { recursive: true });
  writeFileSync(join(folder, 'build', 'Release', 'flash_softmax.node'), binary);
  for (const [name, bytes] of Object.entries(modules)) writeFileSync(join(folder, 'wasm', name), bytes);
  return folder;
}

/** What that package says of itself and computes, or the error of its first call. */
function answer(folder: string, env: NodeJS.ProcessEnv = {}) {
  const text = `
    const { capabilities, softmax } = await import(${JSON.stringify(join(folder, 'dist', 'index.js'))});
    try {
      const y = [...softmax(Float32Array.of(1, 1, -Infinity))];
      const { backend, native } = capabilities();
      console.log(JSON.stringify({ backend, error: native.error, y }));
    } catch (error) { console.log(JSON.stringify({ code: error.code, message: error.message })); }`;
  const { status, signal, stdout, stderr } = node([...flags, '--input-type=module', '--eval', text], env);
  expect([status, signal], stderr).toEqual([0, null]);
  return JSON.parse(stdout) as Record<string, unknown>;
}

describe.runIf(canPreload && native().addon !== null)('a binary', () => {
  const whole = readFileSync(native().path!);
  const otherProcessor = Buffer.from(whole);
  otherProcessor.writeUInt16LE(otherProcessor.readUInt16LE(18) === 183 ? 62 : 183, 18);

  const wrong: Record<string, [Uint8Array, RegExp]> = {
    'that is empty': [whole.subarray(0, 0), /file too short/],
    'cut off in its header': [whole.subarray(0, 100), /cut off|cannot read file data/],
    'cut off after its header': [whole.subarray(0, 1000), /the file is cut off/],
    'cut off in the middle': [whole.subarray(0, whole.length >> 1), /the file is cut off/],
    'of another processor': [otherProcessor, /cannot open shared object file|wrong ELF class|Exec format|invalid ELF/],
    'that is text': [Buffer.from('module.exports = {};\n'.repeat(20)), /invalid ELF header/],
    'whose header lies about segments': [lying(whole), /the file is cut off/],
  };
  for (const [name, [bytes, reason]] of Object.entries(wrong)) {
    it(`${name} is not loaded`, () => {
      const found = answer(installed(bytes), { FLASH_SOFTMAX_BACKEND: 'js' });
      expect(found).toMatchObject({ backend: 'js', y: [0.5, 0.5, 0] });
      expect(found.error).toMatch(reason);
      const required = answer(installed(bytes), { FLASH_SOFTMAX_REQUIRE_NATIVE: '1' });
      expect(required.code).toBe('ERR_DLOPEN_FAILED');
      expect(required.message).toMatch(reason);
    });
  }

  for (const [name, source, reason] of [
    ['no addon', 'int unused;', /did not self-register/],
    [
      'the addon of something else',
      'void* napi_register_module_v1(void* env, void* x) { return env ? x : env; }',
      /not/,
    ],
  ] as const) {
    itWith([...tools], `that is ${name} is not used`, () => {
      const file = join(temporaryDirectory(), 'other.node');
      const { status } = spawnSync('gcc', ['-shared', '-fPIC', '-x', 'c', '-', '-o', file], { input: source });
      expect(status).toBe(0);
      const found = answer(installed(readFileSync(file)), { FLASH_SOFTMAX_BACKEND: 'js' });
      expect(found).toMatchObject({ backend: 'js', y: [0.5, 0.5, 0] });
      expect(found.error).toMatch(reason);
    });
  }

  it('that is whole passes, and so does every cut of parts that are not mapped', () => {
    const file = join(temporaryDirectory(), 'x.node');
    let passed = 0;
    for (let cut = 0; cut <= whole.length; cut += Math.ceil(whole.length / 97)) {
      writeFileSync(file, whole.subarray(0, whole.length - cut));
      try {
        refuseCutBinary(file);
        passed++;
      } catch (error) {
        expect((error as Error).message).toContain('the file is cut off');
      }
    }
    expect(passed).toBeGreaterThan(0);
    expect(passed).toBeLessThan(20);
    rmSync(file);
    refuseCutBinary(file); // the loader says that there is none
  });
});

/** A binary whose last segment ends beyond all memory. */
function lying(whole: Uint8Array): Uint8Array {
  const bytes = Buffer.from(whole);
  for (let at = Number(bytes.readBigUInt64LE(32)), i = 0; i < bytes.readUInt16LE(56); i++, at += 56)
    if (bytes.readUInt32LE(at) === 1) bytes.writeBigUInt64LE(2n ** 63n, at + 32);
  return bytes;
}

describe.runIf(backends.includes('wasm'))('a WebAssembly module', () => {
  const whole = readFileSync(join(root, 'wasm', 'softmax.wasm'));
  for (const [name, bytes] of Object.entries({
    empty: whole.subarray(0, 0),
    'cut off': whole.subarray(0, 20_000),
    text: Buffer.from('module'),
  })) {
    it(`that is ${name} is a coded error`, () => {
      const folder = installed(new Uint8Array(0), { 'softmax.wasm': bytes });
      const found = answer(folder, { FLASH_SOFTMAX_BACKEND: 'wasm' });
      expect(found.code).toBe('ERR_INVALID_STATE');
      expect(found.message).toMatch(/^Expected a whole WebAssembly module for softmax\.wasm but received bytes/);
    });
  }
});
