/**
 * Builds lib/ into dist/: ES modules and CommonJS with types for both; the command line is an ES module only.
 * dist/portable/ has the same entry points without Node's modules, in JavaScript only, for browsers and bundles.
 * A new entry point needs a line here and an entry in the `exports` of package.json.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { defineConfig, type Options } from 'tsup';

const library = {
  index: 'lib/index.ts',
  attention: 'lib/attention.ts',
  detection: 'lib/detection.ts',
  head: 'lib/head.ts',
  losses: 'lib/losses.ts',
  promises: 'lib/promises.ts',
  routing: 'lib/routing.ts',
  ood: 'lib/ood.ts',
  sampling: 'lib/sampling.ts',
  wasm: 'lib/wasm.ts',
  'adapters/onnxruntime': 'lib/adapters/onnxruntime.ts',
  'adapters/openai': 'lib/adapters/openai.ts',
  'adapters/transformers': 'lib/adapters/transformers.ts',
};

/** Programs are started, not imported. The worker is one file, so that a bundler can put it anywhere. */
const program = { cli: 'lib/cli/main.ts' };
const worker = { 'flash-softmax-worker': 'lib/call/flash-softmax-worker.ts' };

const common: Options = {
  target: 'node20',
  platform: 'node',
  splitting: true, // entry points share modules, so that a backend is chosen once
  sourcemap: false,
  external: ['#files'], // scripts/static-files.mjs makes it
  dts: { entry: library },
};

// Replaces tsup's `clean`: the builds run at the same time, and one would remove the other's files.
rmSync('dist', { recursive: true, force: true });

// What the command line bundles of others, beside its licence.
mkdirSync('dist');
const licence = readFileSync('node_modules/fflate/LICENSE', 'utf8');
writeFileSync('dist/third-party-licenses.txt', `dist/cli.js reads and writes .npz files with fflate:\n\n${licence}`);

/** Modules of lib/ that dist/portable/ replaces, and their replacements. */
const standIns = JSON.parse(readFileSync('scripts/portable-modules.json', 'utf8')) as Record<string, string>;

const portable: Options = {
  ...common,
  entry: library,
  platform: 'neutral',
  target: 'es2022',
  outDir: 'dist/portable',
  dts: false,
  esbuildPlugins: [
    {
      name: 'portable',
      setup(build) {
        const filter = /\/(native|profile|heap|js-jobs|file|host|urls|workers)\.js$/;
        build.onResolve({ filter }, ({ path: wanted, resolveDir }) => {
          const name = path
            .relative('lib', path.resolve(resolveDir, wanted))
            .replaceAll('\\', '/')
            .replace(/\.js$/, '');
          return standIns[name] === undefined ? undefined : { path: path.resolve(standIns[name]) };
        });
      },
    },
  ],
};

/** import.meta.url for CommonJS. tsup's own version reads `document` first, which jsdom and Electron define too. */
const metaUrl: NonNullable<Options['esbuildPlugins']>[number] = {
  name: 'import.meta.url',
  setup(build) {
    build.onLoad({ filter: /load-addon\.ts$/ }, ({ path: file }) => ({
      contents: readFileSync(file, 'utf8').replaceAll('import.meta.url', 'pathToFileURL(__filename).href'),
      loader: 'ts',
    }));
  },
};

export default defineConfig([
  { ...common, entry: { ...library, ...program }, format: 'esm' },
  { ...common, entry: library, format: 'cjs', esbuildPlugins: [metaUrl] },
  { ...common, entry: worker, format: 'cjs', splitting: false, dts: false },
  { ...portable, format: 'esm' },
  { ...portable, format: 'cjs' },
]);
