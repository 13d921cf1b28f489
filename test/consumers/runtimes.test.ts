/** Runtimes, their permissions, single executables, and frameworks that trace or bundle. */
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';
import { expect, it } from 'vitest';
import { linux, node as nodeOf, nodes } from '../package/package.js';
import { run } from '../support/run.js';
import { itWith } from '../support/tools.js';
import { answer, apart, project, versionOf } from './project.js';
import { testToolchains, type Toolchain } from './toolchain.js';

const node = process.execPath;
const ours = process.versions.node;

const withNode = (
  name: string,
  expected: Toolchain['expected'],
  condition: string,
  args: readonly string[],
): Toolchain => ({
  name: `Node, ${name}`,
  expected,
  isQuick: true,
  find: async () => ({
    version: ours,
    condition,
    answer: await answer(await project(`node ${name}`, {}), [node, ...args]),
  }),
});

const otherNode = (version: string): Toolchain => ({
  name: `Node ${version.split('.')[0]}, import and require`,
  expected: 'native',
  async find() {
    const program = path.join(await nodeOf('x64', version), 'bin', 'node');
    const place = await project(`node ${version}`, {});
    const [imported, required] = [await answer(place, [program, 'app.mjs']), await answer(place, [program, 'app.cjs'])];
    expect(required).toEqual(imported);
    return { version, condition: 'node', answer: imported };
  },
});

/** Without addons a newer Node runs WebAssembly, whose instructions need no flag any more. */
const withoutAddons = (version: string): Toolchain => ({
  name: `Node ${version.split('.')[0]}, --no-addons`,
  expected: 'wasm',
  async find() {
    const program = path.join(await nodeOf('x64', version), 'bin', 'node');
    const place = await project(`node ${version} without addons`, {});
    return { version, condition: 'node', answer: await answer(place, [program, '--no-addons', 'app.mjs']) };
  },
});

const ofPackage = (
  name: string,
  expected: Toolchain['expected'],
  packages: [string],
  condition: string,
  commands: string[][],
  env = {},
): Toolchain => ({
  name,
  expected,
  async find() {
    const place = await project(name, {}, { packages });
    for (const [program, ...args] of commands.slice(0, -1)) await run(path.join(place, program!), args, { cwd: place });
    const [program, ...args] = commands.at(-1)!;
    return {
      version: versionOf(place, packages[0]),
      condition,
      answer: await answer(place, [path.join(place, program!), ...args], env),
    };
  },
});

const bun = 'node_modules/@oven/bun-linux-x64/bin/bun';
const deno = 'node_modules/@deno/linux-x64-glibc/deno';
const denoFlags = ['run', '--no-prompt', '--node-modules-dir=manual'];

/** An executable that is one bundle and Node, with prebuilds/ beside it. */
const singleExecutable: Toolchain = {
  name: 'Node, single executable application, prebuilds/ beside it',
  expected: 'native',
  async find() {
    const place = await project(
      'sea',
      { 'sea.json': '{"main":"out/app.cjs","output":"sea.blob","disableExperimentalSEAWarning":true}' },
      { packages: ['postject'] },
    );
    await build({
      entryPoints: [path.join(place, 'app.cjs')],
      bundle: true,
      platform: 'node',
      format: 'cjs',
      outfile: path.join(place, 'out/app.cjs'),
    });
    await run(node, ['--experimental-sea-config', 'sea.json'], { cwd: place });
    copyFileSync(node, path.join(place, 'app'));
    chmodSync(path.join(place, 'app'), 0o755);
    const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';
    await run('npx', ['postject', 'app', 'NODE_SEA_BLOB', 'sea.blob', '--sentinel-fuse', fuse], { cwd: place });
    const moved = apart(place, ['app', 'node_modules/flash-softmax/prebuilds'], 'moved');
    const prebuilds = path.join(moved, 'node_modules/flash-softmax/prebuilds');
    await run('mv', [prebuilds, moved]);
    return { version: ours, condition: 'node', answer: await answer(moved, [path.join(moved, 'app')]) };
  },
};

const nextFiles = {
  'app/layout.jsx': 'export default ({ children }) => <html><body>{children}</body></html>;\n',
  'app/api/route.js': `export const dynamic = 'force-dynamic';
    export async function GET() {
      const { done } = await import('../../done.mjs');
      return Response.json(await done);
    }\n`,
  'next.config.mjs': `export default { output: 'standalone', outputFileTracingRoot: import.meta.dirname };\n`,
};

/** Starts a server and asks it once. */
async function asked(place: string, command: readonly string[], port: number): Promise<string> {
  const script = `
    import { spawn } from 'node:child_process';
    const stdio = ['ignore', 'ignore', 'inherit'];
    const server = spawn(process.argv[2], process.argv.slice(3), { stdio, detached: true });
    let text = '';
    for (let i = 0; i < 240 && !text.includes('"backend"'); i++) {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      text = await fetch('http://localhost:${port}/api').then((response) => response.text(), () => text);
      if (text.includes('Internal Server Error') && i > 60) break;
    }
    process.kill(-server.pid, 'SIGKILL');
    console.log(text);`;
  writeFileSync(path.join(place, 'ask.mjs'), script);
  return run(node, ['ask.mjs', ...command], {
    cwd: place,
    env: {
      PORT: String(port),
      HOSTNAME: 'localhost',
      FLASH_SOFTMAX_BACKEND: undefined,
      NODE_ENV: undefined,
      VITEST: undefined,
      NODE_OPTIONS: undefined,
    },
  });
}

function next(kind: 'development' | 'standalone', bundler: 'webpack' | 'turbopack', port: number): Toolchain {
  return {
    name: `Next, ${kind}, ${bundler}`,
    expected: 'native',
    async find() {
      const place = await project(`next ${kind} ${bundler}`, nextFiles, { packages: ['next', 'react', 'react-dom'] });
      const version = versionOf(place, 'next');
      const cli = [node, path.join(place, 'node_modules/next/dist/bin/next')];
      const { answerIn } = await import('./project.js');
      if (kind === 'development')
        return {
          version,
          condition: 'node',
          answer: answerIn(await asked(place, [...cli, 'dev', `--${bundler}`, '--port', String(port)], port)),
        };
      await run(cli[0]!, [cli[1]!, 'build', `--${bundler}`], {
        cwd: place,
        env: { NODE_ENV: undefined, VITEST: undefined },
      });
      const moved = apart(place, ['.next/standalone']);
      return {
        version,
        condition: 'node',
        answer: answerIn(await asked(moved, [node, path.join(moved, '.next/standalone/server.js')], port)),
      };
    },
  };
}

const yarn = (entry: string): Toolchain => ({
  name: `Yarn, Plug'n'Play, ${entry === 'app.mjs' ? 'import' : 'require'}`,
  expected: 'native',
  async find() {
    const tools = await project(`yarn ${entry}`, {}, { packages: ['@yarnpkg/cli-dist'] });
    const place = await project(
      `yarn pnp ${entry}`,
      {
        '.yarnrc.yml':
          'nodeLinker: pnp\nenableGlobalCache: false\nenableImmutableInstalls: false\nenableScripts: false\n',
        'yarn.lock': '',
      },
      { install: false },
    );
    const program = [node, path.join(tools, 'node_modules/@yarnpkg/cli-dist/bin/yarn.js')];
    await run(program[0]!, [program[1]!, 'install'], {
      cwd: place,
      env: { CI: undefined, YARN_ENABLE_TELEMETRY: '0' },
    });
    return {
      version: versionOf(tools, '@yarnpkg/cli-dist'),
      condition: 'node',
      answer: await answer(place, [...program, 'node', entry]),
    };
  },
});

testToolchains([
  withNode('import', 'native', 'node', ['app.mjs']),
  withNode('require', 'native', 'node', ['app.cjs']),
  withNode('--no-addons', 'js', 'node', ['--no-addons', 'app.mjs']),
  withNode('permission model', 'js', 'node', ['--experimental-permission', '--allow-fs-read=*', 'app.mjs']),
  ...nodes.slice(1).map(otherNode),
  ...nodes.slice(1).map(withoutAddons),
  singleExecutable,
  ofPackage('Bun, run', 'native', ['bun'], 'node', [[bun, 'app.mjs']]),
  ofPackage('Bun, build', 'native', ['bun'], 'bun', [
    [bun, 'build', 'app.mjs', '--target=bun', '--outdir=out'],
    [bun, 'out/app.js'],
  ]),
  ofPackage('Bun, build --compile', 'native', ['bun'], 'bun', [
    [bun, 'build', '--compile', 'app.mjs', '--outfile', 'compiled'],
    ['compiled'],
  ]),
  ofPackage('Deno, import', 'native', ['deno'], 'deno', [[deno, ...denoFlags, '--allow-all', 'app.mjs']]),
  ofPackage('Deno, require', 'native', ['deno'], 'node', [[deno, ...denoFlags, '--allow-all', 'app.cjs']]),
  ofPackage('Deno, no permissions', 'js', ['deno'], 'deno', [[deno, ...denoFlags, 'app.mjs']]),
  yarn('app.mjs'),
  yarn('app.cjs'),
  next('development', 'webpack', 34011),
  next('development', 'turbopack', 34012),
  next('standalone', 'webpack', 34013),
  next('standalone', 'turbopack', 34014),
]);

itWith(linux, 'a missing addon is an error where FLASH_SOFTMAX_REQUIRE_NATIVE is 1, with its cure', async () => {
  const place = await project('require native', {});
  const asks = `
    const { softmax } = require('flash-softmax');
    try {
      softmax(new Float32Array(3));
    } catch ({ code, message }) {
      console.log(JSON.stringify({ code, message }));
    }`;
  const ask = async (...args: string[]) =>
    JSON.parse(
      await run(node, [...args, '--eval', asks], {
        cwd: place,
        env: { FLASH_SOFTMAX_REQUIRE_NATIVE: '1', FLASH_SOFTMAX_BACKEND: undefined },
      }),
    ) as object;
  expect(await ask('--no-addons')).toEqual({
    code: 'ERR_DLOPEN_FAILED',
    message: expect.stringMatching(/no native addon: .*--no-addons/),
  });
  expect(await ask('--conditions=browser')).toEqual({
    code: 'ERR_DLOPEN_FAILED',
    message: expect.stringMatching(/portable build.*external/),
  });
});

it('a program that defines `document`, as a renderer does, has the addon', async () => {
  const place = await project('document', {});
  mkdirSync(place, { recursive: true });
  writeFileSync(
    path.join(place, 'document.cjs'),
    `globalThis.document = { baseURI: 'http://localhost/', currentScript: null };\nglobalThis.window = globalThis;\n`,
  );
  expect(await answer(place, [node, '--require', './document.cjs', 'app.cjs'])).toMatchObject({
    promise: 'same',
    backend: expect.not.stringMatching('^js$'),
  });
});
