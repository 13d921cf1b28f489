/** Bundlers and tracers for Node: the bundle runs beside the installed package, and alone. */
import { cpSync } from 'node:fs';
import path from 'node:path';
import { build, version as esbuildVersion, type BuildOptions } from 'esbuild';
import { run } from '../support/run.js';
import { answer, apart, project, versionOf } from './project.js';
import { testToolchains, type Finding, type Toolchain } from './toolchain.js';

const node = process.execPath;
const last = <T>(all: readonly T[]): T => all[all.length - 1]!;

/** A bundle of app.mjs or app.cjs, out/app.cjs or out/app.mjs. */
async function esbuild(name: string, entry: string, options: BuildOptions): Promise<{ place: string; file: string }> {
  const place = await project(name, {});
  const file = path.join('out', options.format === 'cjs' ? 'app.cjs' : 'app.mjs');
  await build({
    entryPoints: [path.join(place, entry)],
    bundle: true,
    platform: 'node',
    outfile: path.join(place, file),
    logLevel: 'silent',
    ...options,
  });
  return { place, file };
}

const withEsbuild = (name: string, entry: string, options: BuildOptions): Toolchain => ({
  name: `esbuild, ${name}`,
  expected: 'native',
  isQuick: true,
  async find(): Promise<Finding> {
    const { place, file } = await esbuild(`esbuild ${name}`, entry, options);
    return {
      version: esbuildVersion,
      condition: 'node, with node_modules beside the bundle',
      answer: await answer(place, [node, file]),
    };
  },
});

/** An ES module in Node has no `require`, which node-gyp-build needs in a bundle. */
const esm: BuildOptions = { format: 'esm' };

const webpackConfig = (entry: string, more: string) => `
  module.exports = { mode: 'production', target: 'node', context: __dirname, entry: './${entry}', ${more} };
`;

async function webpack(name: string, entry: string, output: string, more = ''): Promise<Finding> {
  const config = webpackConfig(entry, `output: { path: __dirname + '/out', filename: '${output}' ${more}`);
  const place = await project(name, { 'webpack.config.cjs': config }, { packages: ['webpack', 'webpack-cli'] });
  await run('npx', ['webpack', '--config', 'webpack.config.cjs'], { cwd: place });
  const version = versionOf(place, 'webpack');
  return {
    version,
    condition: 'node, the addon as an asset',
    answer: await answer(apart(place, ['out']), [node, path.join('out', output)]),
  };
}

async function traced(entry: string): Promise<Finding> {
  const place = await project(
    `nft ${entry}`,
    {
      'trace.mjs': `import { nodeFileTrace } from '@vercel/nft';
      const { fileList } = await nodeFileTrace(['${entry}'], { base: process.cwd() });
      console.log(JSON.stringify([...fileList]));`,
    },
    { packages: ['@vercel/nft'] },
  );
  const files = JSON.parse(last((await run(node, ['trace.mjs'], { cwd: place })).trim().split('\n'))) as string[];
  const version = versionOf(place, '@vercel/nft');
  return { version, condition: 'node', answer: await answer(apart(place, files), [node, entry]) };
}

const rollupConfig = `
  import { nodeResolve } from '@rollup/plugin-node-resolve';
  import commonjs from '@rollup/plugin-commonjs';
  const plugins = [nodeResolve({ exportConditions: ['node'] }), commonjs()];
  export default { input: 'app.mjs', output: { file: 'out/app.mjs' }, plugins };
`;

const staticAddons: BuildOptions = { conditions: ['static-addons'], loader: { '.node': 'copy' } };

testToolchains([
  withEsbuild('ES modules to an ES module', 'app.mjs', esm),
  withEsbuild('ES modules to an ES module, condition node-addons', 'app.mjs', { ...esm, conditions: ['node-addons'] }),
  withEsbuild('ES modules to CommonJS', 'app.mjs', { format: 'cjs' }),
  withEsbuild('CommonJS to CommonJS', 'app.cjs', { format: 'cjs' }),
  withEsbuild('CommonJS to CommonJS, condition node-addons', 'app.cjs', { format: 'cjs', conditions: ['node-addons'] }),
  {
    name: 'esbuild, the bundle alone',
    expected: 'js',
    isQuick: true,
    async find() {
      const { place, file } = await esbuild('esbuild alone', 'app.mjs', { format: 'cjs' });
      return {
        version: esbuildVersion,
        condition: 'node, without node_modules',
        answer: await answer(apart(place, [file]), [node, file]),
      };
    },
  },
  {
    name: 'esbuild, prebuilds/ copied beside the bundle',
    expected: 'native',
    isQuick: true,
    async find() {
      const { place, file } = await esbuild('esbuild prebuilds', 'app.mjs', { format: 'cjs' });
      const moved = apart(place, [file]);
      cpSync(path.join(place, 'node_modules', 'flash-softmax', 'prebuilds'), path.join(moved, 'out', 'prebuilds'), {
        recursive: true,
      });
      return { version: esbuildVersion, condition: 'node', answer: await answer(moved, [node, file]) };
    },
  },
  {
    name: 'esbuild, condition static-addons and a loader for .node',
    expected: 'native',
    isQuick: true,
    async find() {
      const { place } = await esbuild('esbuild static', 'app.mjs', { format: 'cjs', ...staticAddons });
      return {
        version: esbuildVersion,
        condition: 'static-addons',
        answer: await answer(apart(place, ['out']), [node, 'out/app.cjs']),
      };
    },
  },
  {
    name: 'webpack, ES modules to CommonJS',
    expected: 'native',
    find: () => webpack('webpack cjs', 'app.mjs', 'app.cjs', '}'),
  },
  {
    name: 'webpack, ES modules to an ES module',
    expected: 'native',
    find: () =>
      webpack(
        'webpack esm',
        'app.mjs',
        'app.mjs',
        `, module: true, chunkFormat: 'module', library: { type: 'module' } }, experiments: { outputModule: true }`,
      ),
  },
  {
    name: 'rollup',
    expected: 'native',
    async find() {
      const place = await project(
        'rollup',
        { 'rollup.config.mjs': rollupConfig },
        { packages: ['rollup', '@rollup/plugin-node-resolve', '@rollup/plugin-commonjs'] },
      );
      await run('npx', ['rollup', '--config', 'rollup.config.mjs'], { cwd: place });
      return {
        version: versionOf(place, 'rollup'),
        condition: 'node, with node_modules beside the bundle',
        answer: await answer(place, [node, 'out/app.mjs']),
      };
    },
  },
  { name: '@vercel/nft, ES modules', expected: 'native', find: () => traced('app.mjs') },
  { name: '@vercel/nft, CommonJS', expected: 'native', find: () => traced('app.cjs') },
]);
