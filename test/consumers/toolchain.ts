/** One test for each toolchain, and the table of all results that the documentation shows. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { nativeBackends } from '../support/backends.js';
import { root } from '../support/emulated.js';
import { itWith, tool } from '../support/tools.js';
import { compiler, linux } from '../package/package.js';
import type { Answer } from './project.js';

export interface Finding {
  readonly version: string;
  /** The conditions by which the tool resolves the package, or its other way to find it. */
  readonly condition: string;
  readonly answer: Answer;
}

export interface Toolchain {
  readonly name: string;
  /** The backend that it must have. */
  readonly expected: 'native' | 'wasm' | 'js';
  find(): Promise<Finding>;
  /** The toolchain is installed here and takes seconds. */
  readonly isQuick?: boolean;
}

const registry = tool('an npm registry', ['npm', 'view', 'esbuild', 'version']);
const wantsAll = process.env.FLASH_SOFTMAX_CONSUMERS === 'all';
const table = path.join(root, 'guides', 'runtimes-and-bundlers.md');

const IN_WORDS = { native: 'native', wasm: 'WebAssembly', js: 'JavaScript' } as const;

/** Tests one toolchain. UPDATE_CONSUMERS=1 puts the result into the guide. */
export function testToolchains(toolchains: readonly Toolchain[]): void {
  for (const { name, expected, find, isQuick } of toolchains) {
    if (!isQuick && !wantsAll) {
      it.skip(`${name} (nightly: FLASH_SOFTMAX_CONSUMERS=all)`, () => {});
      continue;
    }
    itWith(
      [linux, compiler, ...(isQuick ? [] : [registry])],
      `${name}: ${expected}, and promises`,
      async () => {
        const { version, condition, answer } = await find();
        const backend = expected === 'native' ? nativeBackends[0] : expected;
        expect(answer, answer.error).toMatchObject({ backend, promise: 'same' });
        if (process.env.UPDATE_CONSUMERS) record(name, version, condition, IN_WORDS[expected], answer.promise);
      },
      900_000,
    );
  }
}

const TABLE_HEAD = '|---|---|---|---|---|\n';

/** Puts a row into the table, in place of the row of the same toolchain. */
function record(...row: [name: string, ...string[]]): void {
  const text = readFileSync(table, 'utf8');
  const start = text.indexOf(TABLE_HEAD) + TABLE_HEAD.length;
  const end = text.indexOf('\n\n', start - 1) + 1;
  const others = text
    .slice(start, end)
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith(`| ${row[0]} |`));
  const lines = [...others, `| ${row.join(' | ')} |`].sort((a, b) => a.localeCompare(b));
  writeFileSync(table, `${text.slice(0, start)}${lines.join('\n')}\n${text.slice(end)}`);
}
