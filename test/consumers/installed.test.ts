/**
 * The package as users get it: packed, installed from the tarball into an empty project, imported, required, and
 * compiled against. Nothing is fetched: its one dependency is packed from node_modules.
 */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nativeBackends } from '../support/backends.js';
import { root } from '../support/emulated.js';
import { run } from '../support/run.js';

const project = realpathSync(mkdtempSync(path.join(tmpdir(), 'flash-softmax-consumer-')));
const installed = path.join(project, 'node_modules', 'flash-softmax');
const addon = path.join(root, 'build', 'Release', 'flash_softmax.node');
const tsc = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc');
const wantsAll = process.env.FLASH_SOFTMAX_CONSUMERS === 'all';

interface Packed {
  filename: string;
  files: { path: string }[];
}

const pack = async (folder: string): Promise<Packed> =>
  (JSON.parse(await run('npm', ['pack', folder, '--ignore-scripts', '--json'], { cwd: project })) as [Packed])[0];

const node = (...args: string[]) =>
  run(process.execPath, args, { cwd: project, env: { FLASH_SOFTMAX_BACKEND: undefined } });

/** Runs JavaScript in the project, as a module or as CommonJS, and reads the JSON that it logs. */
async function evaluate(kind: 'module' | 'commonjs', script: string): Promise<unknown> {
  return JSON.parse(await node(`--input-type=${kind}`, '--eval', script));
}

let packed: Packed;

beforeAll(async () => {
  packed = await pack(root);
  const dependency = await pack(path.join(root, 'node_modules', 'node-gyp-build'));
  const dependencies = { 'flash-softmax': `file:${packed.filename}`, 'node-gyp-build': `file:${dependency.filename}` };
  writeFileSync(path.join(project, 'package.json'), JSON.stringify({ private: true, dependencies }));
  await run('npm', ['install', '--offline', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: project });
  // prebuilds/ exists only if this checkout has built the binaries.
  rmSync(path.join(installed, 'prebuilds'), { recursive: true, force: true });
}, 120_000);

afterAll(() => rmSync(project, { recursive: true, force: true }));

describe('the packed tarball', () => {
  it('holds what runs, and nothing that does not', () => {
    const paths = packed.files.map((file) => file.path);
    for (const wanted of [
      'package.json',
      'README.md',
      'LICENSE',
      'dist/index.js',
      'dist/index.cjs',
      'dist/index.d.ts',
      'dist/index.d.cts',
      'dist/cli.js',
    ]) {
      expect(paths).toContain(wanted);
    }
    const folders = /^(dist|prebuilds|native|cmake|wasm)\//;
    const files = ['package.json', 'README.md', 'LICENSE', 'CHANGELOG.md', 'CMakeLists.txt'];
    expect(paths.filter((file) => !folders.test(file) && !files.includes(file))).toEqual([]);
  });

  const call = 'console.log(JSON.stringify([capabilities(), [...softmax(Float32Array.of(0, 0, -Infinity))]]))';

  it('is imported, and runs in JavaScript where no binary fits', async () => {
    const result = await evaluate('module', `import { capabilities, softmax } from 'flash-softmax'; ${call}`);
    expect(result).toMatchObject([
      { backend: 'js', available: ['js'], native: { loaded: false, error: expect.any(String) } },
      [0.5, 0.5, 0],
    ]);
  });

  it('is required, and runs in JavaScript where no binary fits', async () => {
    const result = await evaluate('commonjs', `const { capabilities, softmax } = require('flash-softmax'); ${call}`);
    expect(result).toMatchObject([{ backend: 'js', native: { loaded: false } }, [0.5, 0.5, 0]]);
  });

  it('has the same exports both ways', async () => {
    const imported = await evaluate(
      'module',
      `console.log(JSON.stringify(Object.keys(await import('flash-softmax'))))`,
    );
    const required = await evaluate('commonjs', `console.log(JSON.stringify(Object.keys(require('flash-softmax'))))`);
    expect((required as string[]).sort()).toEqual((imported as string[]).sort());
  });

  it('has promises of the same names, both ways', async () => {
    const names = (entry: string) => `Object.keys(${entry}).sort()`;
    const families = ['attention', 'losses', 'detection', 'head', 'routing', 'ood'];
    const entries = ['', ...families, 'sampling', 'promises'].map((each) => path.posix.join('flash-softmax', each));
    const imported = await evaluate(
      'module',
      `console.log(JSON.stringify([${entries.map((entry) => names(`await import('${entry}')`)).join()}]))`,
    );
    const required = await evaluate(
      'commonjs',
      `console.log(JSON.stringify([${entries.map((entry) => names(`require('${entry}')`)).join()}]))`,
    );
    const lists = imported as string[][];
    const [promises, sampling] = [lists.pop()!, lists.pop()!];
    const slow = ['beamStep', 'filterLogits', 'sample', 'sampleMany', 'topK', 'verifyDraft']; // calls that take long
    expect(sampling).toEqual(expect.arrayContaining(slow));
    const ofSamplers = ['sampleAll', 'sampleNext']; // methods of Sampler, where they are no promises
    const all = new Set([...lists.flat(), ...slow, ...ofSamplers]);
    all.delete('allocate'); // memory is there at once
    expect(promises).toEqual([...all].sort());
    expect((required as string[][]).slice(0, -2)).toEqual(lists);
    expect((required as string[][]).at(-1)).toEqual(promises);
    const print = 'then((y) => console.log(JSON.stringify(y[0])))';
    const softmaxLater = `softmax(new Float32Array(50_000), { out: new Float32Array(50_000) }).${print}`;
    expect(
      await evaluate('module', `import { softmax } from 'flash-softmax/promises'; await ${softmaxLater}`),
    ).toBeCloseTo(2e-5, 10);
    expect(
      await evaluate('commonjs', `const { softmax } = require('flash-softmax/promises'); ${softmaxLater}`),
    ).toBeCloseTo(2e-5, 10);
  });

  it('has adapters, both ways, which need nothing beside the package', async () => {
    for (const name of ['onnxruntime', 'openai', 'transformers']) {
      const entry = `'flash-softmax/adapters/${name}'`;
      const imported = await evaluate('module', `console.log(JSON.stringify(Object.keys(await import(${entry}))))`);
      const required = await evaluate('commonjs', `console.log(JSON.stringify(Object.keys(require(${entry}))))`);
      expect((required as string[]).sort()).toEqual((imported as string[]).sort());
      expect((imported as string[]).length).toBeGreaterThan(2);
    }
  });

  it('has a command line', async () => {
    const { version } = (await evaluate(
      'commonjs',
      `console.log(JSON.stringify(require('flash-softmax/package.json')))`,
    )) as { version: string };
    const bin = path.join(project, 'node_modules', '.bin', 'flash-softmax');
    expect(await run(bin, ['--version'], { cwd: project })).toContain(version);
    expect(await run(bin, ['info'], { cwd: project })).toContain('js');
  });

  it.runIf(nativeBackends.length > 0 && existsSync(addon))('loads a prebuilt binary where there is one', async () => {
    const folder = path.join(installed, 'prebuilds', `${process.platform}-${process.arch}`);
    mkdirSync(folder, { recursive: true });
    copyFileSync(addon, path.join(folder, 'flash-softmax.node'));
    try {
      for (const [kind, load] of [
        ['module', `import { capabilities, softmax } from 'flash-softmax'`],
        ['commonjs', `const { capabilities, softmax } = require('flash-softmax')`],
      ] as const) {
        const [found, y] = (await evaluate(kind, `${load}; ${call}`)) as [object, number[]];
        expect(found).toMatchObject({
          backend: nativeBackends[0],
          native: { loaded: true, path: expect.stringContaining(folder) },
        });
        expect(y).toEqual([0.5, 0.5, 0]);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

interface CompilerOptions {
  module: string;
  moduleResolution: string;
  lib?: readonly string[];
  noEmit?: boolean;
}

/** A folder with programs of test/consumers, each as an ES module and as CommonJS, and a tsconfig.json. */
function programs(name: string, files: readonly string[], options: CompilerOptions): string {
  const folder = path.join(project, name);
  mkdirSync(folder);
  const source = (file: string) => path.join(root, 'test', 'consumers', `${file}.ts`);
  for (const file of files) {
    for (const kind of ['mts', 'cts']) copyFileSync(source(file), path.join(folder, `${file}.${kind}`));
  }
  const strictest = { strict: true, exactOptionalPropertyTypes: true, skipLibCheck: false };
  const compilerOptions = { target: 'es2022', lib: ['es2022'], types: [], ...strictest, ...options };
  // `console` has its type from Node or the DOM. One line declares it, so that the package is seen to need neither.
  if (options.lib === undefined) {
    writeFileSync(path.join(folder, 'console.d.ts'), 'declare const console: { log(line: string): void };\n');
  }
  writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions }));
  return folder;
}

describe('TypeScript', () => {
  for (const module of ['nodenext', 'node16']) {
    it(`${module}: an ES module and a CommonJS file compile against the package, and run`, async () => {
      const folder = programs(module, ['consumer'], { module, moduleResolution: module });

      await node(tsc, '--project', folder);

      for (const program of ['consumer.mjs', 'consumer.cjs']) {
        expect(JSON.parse(await node(path.join(folder, program))), program).toMatchObject({
          backend: 'js',
          doubles: Array<number>(6).fill(1 / 3),
          inPlace: [0.5, 0.5],
          refused: 4,
          sizes: [2, 2, 3, 1, 1, 2],
          awaited: [0.5, 0.5, 0.5, 0.5],
          exponent: 1,
          isRefused: true,
        });
      }
    }, 120_000);
  }

  const dom = ['es2022', 'dom'];
  const resolutions = [
    ['node10', 'commonjs'],
    ['node16', 'node16'],
    ['nodenext', 'nodenext'],
    ['bundler', 'esnext'],
  ] as const;

  it('new results go into a Blob, a Response and WebCrypto, and an `out` keeps its type', async () => {
    const options = { module: 'nodenext', moduleResolution: 'nodenext', lib: [...dom, 'esnext.float16'] };
    const folder = programs('results', ['results', 'shared-results'], options);

    await node(tsc, '--project', folder);

    for (const kind of ['mjs', 'cjs']) {
      const results: unknown = JSON.parse(await node(path.join(folder, `results.${kind}`)));
      expect(results).toEqual({ sent: 110, others: [4, 4, 4, 4, 4], unknown: false });
      const shared: unknown = JSON.parse(await node(path.join(folder, `shared-results.${kind}`)));
      expect(shared).toEqual({ isShared: true, copies: 6, errors: 6 });
    }
  }, 120_000);

  // Arrays are not generic in 5.4; 5.7 is the first in which they are.
  for (const version of ['5.4', '5.7']) {
    it.runIf(wantsAll)(
      `${version}: the declarations compile, however modules are resolved (nightly)`,
      async () => {
        const compiler = path.join(project, `typescript-${version}`);
        mkdirSync(compiler);
        writeFileSync(path.join(compiler, 'package.json'), '{ "private": true }');
        await run('npm', ['install', `typescript@${version}`, '--no-audit', '--no-fund'], { cwd: compiler });
        const old = path.join(compiler, 'node_modules', 'typescript', 'bin', 'tsc');
        for (const [moduleResolution, module] of resolutions) {
          const options = { module, moduleResolution, noEmit: true, lib: dom };
          const folder = programs(`typescript-${version}-${moduleResolution}`, ['results'], options);
          await node(old, '--project', folder);
        }
      },
      600_000,
    );
  }
});
