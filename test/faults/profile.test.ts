/**
 * A profile that lies: whatever sizes it names, results have the same bits, on every backend. One that is no profile is
 * an error with a code (test/call/settings.test.ts).
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryDirectory } from '../cli/capture.js';
import { nativeBackends } from '../support/backends.js';
import { entry, node } from './preloaded.js';

const most = Number.MAX_SAFE_INTEGER;
const lies = [
  { twoPassBytes: 0, streamBytes: 0, parallelBytes: 0 },
  { twoPassBytes: 1, streamBytes: 1, parallelBytes: 1 },
  { twoPassBytes: 0, streamBytes: 0, parallelBytes: null },
  { twoPassBytes: null, streamBytes: 0, parallelBytes: 0 },
  { twoPassBytes: most, streamBytes: 0, parallelBytes: most },
  { twoPassBytes: 3, streamBytes: most, parallelBytes: 5, processor: 'another one' },
];

const text = `
  const { softmax, logSoftmax, setThreads } = await import(${JSON.stringify(entry)});
  const { createHash } = await import('node:crypto');
  setThreads(3);
  const hash = createHash('sha256');
  for (const n of [1, 7, 64, 65, 1000, 16_385, 70_001, 300_000]) {
    const x = Float32Array.from({ length: n }, (_, i) => Math.fround(20 * Math.sin(i * i)));
    for (const cols of [n, 65, 1000])
      if (n % cols === 0) hash.update(softmax(x, { cols })).update(logSoftmax(x, { cols }));
  }
  console.log(hash.digest('hex'));`;

describe.runIf(nativeBackends.length > 0)('a profile that lies', () => {
  for (const name of nativeBackends.slice(0, 1))
    it(`changes no bit on ${name}`, () => {
      const file = join(temporaryDirectory(), 'profile.json');
      const digest = (env: NodeJS.ProcessEnv) => {
        const options = { FLASH_SOFTMAX_BACKEND: name, ...env };
        const { status, stdout, stderr } = node(['--input-type=module', '--eval', text], options);
        expect([status, stderr]).toEqual([0, '']);
        return stdout;
      };
      const wanted = digest({});
      for (const lie of lies) {
        writeFileSync(file, JSON.stringify({ version: 1, ...lie }));
        expect(digest({ FLASH_SOFTMAX_PROFILE: file }), JSON.stringify(lie)).toBe(wanted);
      }
    });
});
