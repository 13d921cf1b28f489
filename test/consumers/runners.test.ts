/** Test runners and development servers, which have their own loaders of modules. */
import { vitestVersion, answer, project, versionOf, answerIn } from './project.js';
import { run } from '../support/run.js';
import { testToolchains, type Finding, type Toolchain } from './toolchain.js';

const node = process.execPath;

const testOf = (imports: string) => `${imports}
  test('answers', async () => { process.stdout.write(JSON.stringify(await done)); });
`;

/** `globals`, as the packages of Vitest have it in their node_modules. */
function vitest(pool: string): Toolchain {
  return {
    name: `Vitest, pool ${pool}`,
    expected: 'native',
    isQuick: pool === 'forks',
    async find(): Promise<Finding> {
      const files = {
        'answer.test.mjs': testOf(`import { test } from 'vitest';\nimport { done } from './done.mjs';`),
        'vitest.config.mjs': `export default { test: { pool: '${pool}', disableConsoleIntercept: true } };`,
      };
      const place = await project(`vitest ${pool}`, files, { links: ['vitest'] });
      const command = [node, 'node_modules/vitest/vitest.mjs', 'run', '--root', place];
      return { version: vitestVersion, condition: 'node', answer: await answer(place, command) };
    },
  };
}

function jest(environment: 'node' | 'jsdom'): Toolchain {
  return {
    name: `Jest, environment ${environment}`,
    expected: environment === 'node' ? 'native' : 'js',
    async find(): Promise<Finding> {
      const files = {
        'answer.test.cjs': testOf(`const { done } = require('./done.cjs');\njest.useFakeTimers();`),
        'jest.config.cjs': `module.exports = {
          testEnvironment: '${environment}',
          testMatch: ['**/answer.test.cjs'],
          moduleFileExtensions: ['js', 'cjs', 'mjs', 'json', 'node'],
        };`,
      };
      const packages = ['jest', ...(environment === 'jsdom' ? ['jest-environment-jsdom'] : [])];
      const place = await project(`jest ${environment}`, files, { packages });
      const found = await answer(place, [node, 'node_modules/jest/bin/jest.js', '--silent=false', '--verbose=false']);
      return {
        version: versionOf(place, 'jest'),
        condition: environment === 'node' ? 'node' : 'browser',
        answer: found,
      };
    },
  };
}

const viteFiles = {
  'serve.mjs': `
    import { createServer } from 'vite';
    const server = await createServer({ server: { middlewareMode: true }, appType: 'custom', logLevel: 'silent' });
    const { done } = await server.ssrLoadModule('/done.mjs');
    console.log(JSON.stringify(await done));
    await server.close();
  `,
  'inside.config.mjs': `export default { ssr: { noExternal: true }, build: { ssr: 'app.mjs', outDir: 'inside' } };`,
};

function vite(name: string, condition: string, commands: string[][]): Toolchain {
  return {
    name: `Vite, ${name}`,
    expected: 'native',
    async find() {
      const place = await project(`vite ${name}`, viteFiles, { packages: ['vite'] });
      let output = '';
      for (const command of commands)
        output += await run(node, command, {
          cwd: place,
          env: { FLASH_SOFTMAX_BACKEND: undefined, NODE_ENV: undefined, VITEST: undefined },
        });
      return { version: versionOf(place, 'vite'), condition, answer: answerIn(output) };
    },
  };
}

const bin = 'node_modules/vite/bin/vite.js';

testToolchains([
  ...['threads', 'forks', 'vmThreads'].map(vitest),
  jest('node'),
  jest('jsdom'),
  vite('server rendering in development', 'node', [['serve.mjs']]),
  vite('server build, the package outside', 'node', [
    [bin, 'build', '--ssr', 'app.mjs', '--outDir', 'out'],
    ['out/app.mjs'],
  ]),
  vite('server build, the package inside', 'node', [
    [bin, 'build', '--config', 'inside.config.mjs'],
    ['inside/app.mjs'],
  ]),
]);
