/** flash-softmax info: this machine, the backend that runs on it, and why. */
import { capabilities } from '../index.js';
import type { Command } from './command.js';
import { bytes, table } from './table.js';
import { version } from './version.js';

/** What to do where the addon is missing. Bundlers are the usual cause, a platform without a binary the other one. */
const CURE =
  'in a bundle, leave flash-softmax external (guides/platforms.md); else "npx flash-softmax build" compiles it';

export const info: Command = {
  name: 'info',
  summary: 'Processor, caches, instruction sets, which of them runs and why.',
  options: { json: { help: 'the same for machines' } },
  run(given, _, { stdout }) {
    const all = capabilities();
    if (given.has('json')) {
      stdout.write(`${JSON.stringify({ version: version(), node: process.version, ...all }, null, 2)}\n`);
      return 0;
    }
    const { l1d, l2, l3 } = all.caches;
    const caches = Object.entries({ 'L1 data': l1d, L2: l2, L3: l3 }).filter(([, size]) => size > 0);
    const { plan } = all;
    const from = (size: number) => (size === Infinity ? 'never' : `from ${bytes(size)}`);
    const tiny = `calls of up to ${all.jsMaxElements} elements run in JavaScript, which is faster there`;
    stdout.write(
      table('l', [
        ['flash-softmax', `${version()}, node ${process.version}, ${process.platform} ${process.arch}`],
        ['processor', all.processor],
        ['features', all.features.join(' ') || 'unknown'],
        ['caches', caches.map(([name, size]) => `${name} ${bytes(size)}`).join(', ') || 'unknown'],
        ['threads', String(all.threads)],
        ...(plan
          ? [
              ['plan', `two passes over a row ${from(plan.twoPassBytes)}, past the caches ${from(plan.streamBytes)},`],
              ['', `shared among threads ${from(plan.parallelBytes)} (${plan.source})`],
            ]
          : []),
        ['backends', all.available.join(', ')],
        ['running', `${all.backend}: ${all.reason}`],
        ...(all.jsMaxElements > 0 ? [['', tiny]] : []),
        ['native', all.native.loaded ? (all.native.path ?? 'loaded') : `absent: ${all.native.error}`],
        ...(all.native.loaded ? [] : [['', CURE]]),
      ]),
    );
    return 0;
  },
};
