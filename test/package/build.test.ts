/**
 * The source build on a user's machine: `flash-softmax build` in the installed package, which is cmake-js and
 * CMakeLists.txt. Its kernels and bits are compared with the binary of prebuildify and binding.gyp, and its errors name
 * missing tools.
 */
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect } from 'vitest';
import type { BackendName, Kernels } from '../../lib/backend/backend.js';
import { nativeBackends } from '../support/backends.js';
import { kinds, row, type KindName } from '../support/cases.js';
import { hash } from '../support/corpus.js';
import { cache, layOut, root, runTests } from '../support/emulated.js';
import { run } from '../support/run.js';
import { itWith, tool } from '../support/tools.js';
import { compiler, linux, npmInstall, pack, prebuilds, project, temporary } from './package.js';

const cmake = tool('cmake', ['cmake', '--version']);
const make = tool('make', ['make', '--version']);
const needs = [linux, compiler, cmake, make];
const folder = temporary();
let place = '';
const program = () => path.join(place, 'node_modules', 'flash-softmax', 'dist', 'cli.js');
const build = (env: Record<string, string | undefined> = {}) =>
  run(process.execPath, [program(), 'build'], { cwd: place, env });

/** A PATH with these programs only. */
function onlyWith(...names: string[]): { PATH: string } {
  const bin = path.join(folder, `bin-${names.join('-')}`);
  mkdirSync(bin, { recursive: true });
  for (const name of names) {
    const file = path.join(bin, name);
    if (!existsSync(file)) writeFileSync(file, '#!/bin/sh\nexit 0\n', { mode: 0o755 });
  }
  return { PATH: bin };
}

const link = (name: string) =>
  symlinkSync(path.join(root, 'node_modules', name), path.join(place, 'node_modules', name));

beforeAll(async () => {
  if (!needs.every(({ available }) => available)) return;
  await prebuilds();
  const tarballs = await pack(folder);
  place = project(path.join(folder, 'project'), tarballs.plain, tarballs);
  await npmInstall(place);
}, 600_000);

describe('flash-softmax build', () => {
  itWith(needs, 'names the packages that it needs', async () => {
    await expect(build()).rejects.toThrow(
      'flash-softmax: The build needs cmake-js and node-addon-api: npm install --no-save cmake-js node-addon-api\n',
    );
  });

  itWith(needs, 'says in one line that there is no CMake, or no compiler', async () => {
    for (const name of ['cmake-js', 'node-addon-api']) link(name);
    await expect(build(onlyWith())).rejects.toThrow(
      /flash-softmax: CMake is missing: [^\n]*apt install g\+\+ make cmake[^\n]*\n$/,
    );
    await expect(build({ ...onlyWith('cmake'), CXX: undefined })).rejects.toThrow(
      /flash-softmax: No C\+\+ compiler \(c\+\+, g\+\+, clang\+\+\) was found: [^\n]*\n$/,
    );
    await expect(build({ CXX: 'no-such-compiler' })).rejects.toThrow(
      /No C\+\+ compiler \(no-such-compiler\) was found/,
    );
  });

  itWith(
    needs,
    'builds from the tarball, loads, and has the kernels and the bits of the prebuilt binary',
    async () => {
      // Nothing listens to this proxy: a download would fail.
      const nowhere = 'http://127.0.0.1:9';
      expect(
        await build({ http_proxy: nowhere, https_proxy: nowhere, HTTPS_PROXY: nowhere, npm_config_proxy: nowhere }),
      ).toMatch(new RegExp(`^built and loaded: ${nativeBackends[0]}, .*build/Release/flash_softmax\\.node\n$`));

      const source = path.join(place, 'node_modules', 'flash-softmax', 'build', 'Release', 'flash_softmax.node');
      const prebuilt = path.join(await prebuilds(), 'linux-x64', 'flash-softmax.glibc.node');
      const [ours, theirs] = [look(source), look(prebuilt)];
      expect(Object.keys(ours.kernels)).toEqual(nativeBackends.filter((name) => name !== 'scalar'));
      expect(ours).toEqual(theirs);

      const laidOut = path.join(cache, 'from-cmake');
      await layOut(laidOut, ['call/corpus'], source);
      expect(await runTests([process.execPath], laidOut, 'call/corpus')).toBeGreaterThan(2);
    },
    600_000,
  );
});

interface Look {
  exports: string[];
  kernels: Record<string, string[]>;
  /** Hashes of every softmax kernel on every kind of row, by instruction set. */
  bits: Record<string, string[]>;
}

interface Exported {
  backends: BackendName[];
  kernels(isa: BackendName): Kernels;
}

/** The exports of an addon, and hashes of its results. */
function look(file: string): Look {
  const module = { exports: {} as Exported };
  process.dlopen(module, file);
  const addon = module.exports;
  const each = <T>(make: (kernels: Kernels) => T) =>
    Object.fromEntries(addon.backends.map((isa) => [isa, make(addon.kernels(isa))]));
  return { exports: Object.keys(addon), kernels: each(Object.keys), bits: each(hashes) };
}

function hashes(kernels: Kernels): string[] {
  return (Object.keys(kinds) as KindName[]).flatMap((kind) =>
    [7, 257, 4096].flatMap((n) => {
      const [x, y] = [row('f32', kind, n) as Float32Array, row('f64', kind, n) as Float64Array];
      kernels.softmax_f32(x, x, 1, n, 1, 0.7, null, 0, null);
      kernels.softmax_f64(y, y, 1, n, 1, 0.7, null, 0, null);
      return [hash(x), hash(y)];
    }),
  );
}
