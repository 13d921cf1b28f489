/** The tests have run on every backend of this machine: a green run of the fallback alone fails here. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { capabilities } from '../../lib/index.js';
import { backends, nativeBackends } from '../support/backends.js';
import { itWith, tool } from '../support/tools.js';

const compiler = tool(
  'a C++ compiler',
  [process.env.CXX ?? 'c++', '--version'],
  ['g++', '--version'],
  ['clang++', '--version'],
);
const make = tool('make', ['make', '--version']);
const supported = process.arch === 'x64' || process.arch === 'arm64';

/** The kernel's description of the first processor; empty if there is no such file. */
function processorFlags(): Set<string> {
  try {
    const line = /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'));
    return new Set(line?.[1]!.trim().split(' '));
  } catch {
    return new Set();
  }
}

describe('this machine', () => {
  if (supported) {
    itWith([compiler, make], 'has a compiler, so native backends are tested', () => {
      expect(nativeBackends, `the addon did not load: ${capabilities().native.error}`).toContain('scalar');
    });
  }

  it('has the JavaScript backend, last', () => expect(backends.at(-1)).toBe('js'));

  itWith([compiler, make], 'has the instruction sets that the kernel sees', () => {
    const flags = processorFlags();
    const has = (...names: string[]) => names.every((name) => flags.has(name));
    if (process.arch === 'x64' && flags.size > 0) {
      expect(backends.includes('avx2')).toBe(has('avx2', 'fma', 'f16c'));
      expect(backends.includes('avx512')).toBe(
        has('avx2', 'fma', 'f16c', 'avx512f', 'avx512dq', 'avx512bw', 'avx512vl'),
      );
    }
    if (process.arch === 'arm64') expect(backends).toContain('neon');
  });
});
