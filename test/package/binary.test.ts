/**
 * The gates of scripts/check-binary.mjs: the binaries of `npm run prebuild` pass, and each forbidden property is
 * refused.
 */
import { copyFileSync, cpSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect } from 'vitest';
import { root } from '../support/emulated.js';
import { run } from '../support/run.js';
import { itWith } from '../support/tools.js';
import { compiler, cross, linux, prebuilds, readelf, temporary } from './package.js';

const script = path.join(root, 'scripts', 'check-binary.mjs');
const needs = [linux, compiler, readelf];
const folder = temporary();
const check = (...files: string[]) => run(process.execPath, [script, ...files]);

/** A path that names the file's platform and architecture. */
function claimed(name: string, target = 'linux-x64'): string {
  const file = path.join(folder, name, target, 'flash-softmax.glibc.node');
  mkdirSync(path.dirname(file), { recursive: true });
  return file;
}

/** A shared object of a few lines. */
async function compiled(name: string, source: string, ...flags: string[]): Promise<string> {
  const [file, text] = [claimed(name), path.join(folder, `${name}.cc`)];
  writeFileSync(text, source);
  await run('g++', ['-shared', '-fPIC', '-s', text, '-o', file, ...flags]);
  return file;
}

describe('passes', () => {
  itWith(
    needs,
    'the binary for x64',
    async () => {
      const line = await check(path.join(await prebuilds(), 'linux-x64', 'flash-softmax.glibc.node'));
      expect(line).toMatch(
        /^linux-x64\/flash-softmax\.glibc\.node: \d+ KB, glibc 2\.\d+, GLIBCXX 3\.4\.\d+, \d+ Node-API functions$/m,
      );
    },
    600_000,
  );

  itWith(
    [...needs, cross],
    'the binary for arm64',
    async () => {
      const line = await check(path.join(await prebuilds(), 'linux-arm64', 'flash-softmax.glibc.node'));
      expect(line).toMatch(/^linux-arm64\/flash-softmax\.glibc\.node: \d+ KB, glibc 2\.17/m);
    },
    600_000,
  );
});

describe('refuses', () => {
  const good = 'extern "C" int napi_create_double(); extern "C" int f() { return napi_create_double(); }';

  itWith(
    [...needs, cross],
    'another architecture',
    async () => {
      const file = claimed('machine');
      cpSync(path.join(await prebuilds(), 'linux-arm64', 'flash-softmax.glibc.node'), file);
      await expect(check(file)).rejects.toThrow('is for AArch64 and not for Advanced Micro Devices X86-64');
    },
    600_000,
  );

  itWith(needs, 'symbols that were not stripped', async () => {
    const file = claimed('symbols');
    copyFileSync(path.join(root, 'build', 'Release', 'flash_softmax.node'), file);
    await expect(check(file)).rejects.toThrow('is not stripped');
  });

  itWith(needs, 'an executable stack', async () => {
    await expect(check(await compiled('stack', good, '-z', 'execstack'))).rejects.toThrow('has an executable stack');
  });

  itWith(needs, 'a newer C library', async () => {
    const newer =
      '#include <pthread.h>\nextern "C" int f(pthread_t* t) { return pthread_create(t, nullptr, nullptr, nullptr); }';
    await expect(check(await compiled('glibc', newer))).rejects.toThrow(/needs GLIBC_2\.34, newer than 2\.28/);
  });

  itWith(needs, 'libraries that a system may lack', async () => {
    await expect(check(await compiled('library', good, '-Wl,--no-as-needed', '-lresolv'))).rejects.toThrow(
      'needs libresolv.so.2',
    );
  });

  itWith(needs, 'functions of Node beyond Node-API 8', async () => {
    const later =
      'extern "C" int node_api_create_syntax_error(); extern "C" int f() { return node_api_create_syntax_error(); }';
    await expect(check(await compiled('later', later))).rejects.toThrow('calls node_api_create_syntax_error');
    await expect(
      check(await compiled('uv', 'extern "C" int uv_run(); extern "C" int f() { return uv_run(); }')),
    ).rejects.toThrow('calls uv_run');
  });

  itWith(needs, 'a file that is too large', async () => {
    await expect(check(await compiled('size', `${good} char padding[3000000] = {1};`))).rejects.toThrow(
      /has \d+ bytes, more than/,
    );
  });

  itWith(needs, 'weak symbols in the objects of an instruction set', async () => {
    const isa = path.join(folder, 'objects', 'isa');
    mkdirSync(isa, { recursive: true });
    const objects = async (source: string) => {
      writeFileSync(path.join(isa, 'avx2.cc'), source);
      await run('g++', ['-c', path.join(isa, 'avx2.cc'), '-o', path.join(isa, 'avx2.o')]);
      const [from, checked] = [pathToFileURL(script).href, path.join(folder, 'objects')].map((x) => JSON.stringify(x));
      const program = `import { checkObjects } from ${from}; checkObjects(${checked});`;
      return run(process.execPath, ['--input-type=module', '--eval', program]);
    };
    await objects('static inline int f(int x) { return x; } int g() { return f(1); }');
    await expect(objects('inline int f(int x) { return x; } int g() { return f(1); }')).rejects.toThrow(
      'has weak symbols: _Z1fi',
    );
  });
});
