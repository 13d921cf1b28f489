/** Every operator of native/operators.def has a twin, a corpus hash, a test, a public function and documentation. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import * as attention from '../../lib/attention.js';
import * as operatorTable from '../../lib/backend/operators.js';
import type { AnyOperator } from '../../lib/backend/operators.js';
import * as detection from '../../lib/detection.js';
import * as head from '../../lib/head.js';
import * as root from '../../lib/index.js';
import * as losses from '../../lib/losses.js';
import { js } from '../../lib/js/index.js';
import * as promises from '../../lib/promises.js';
import * as routing from '../../lib/routing.js';
import * as sampling from '../../lib/sampling.js';
import { root as tree } from '../support/emulated.js';

const read = (...parts: string[]) => readFileSync(path.join(tree, ...parts), 'utf8');
const operators = Object.values(operatorTable as unknown as Record<string, AnyOperator>).filter((each) => each?.name);

/** Public names that are not the operator's own. */
const PUBLIC: Readonly<Record<string, string>> = {
  attention_exact: 'attention',
  attention_cached: 'decodeAttention',
  kv_append: 'KVCache',
  linear_append: 'LinearAttentionState',
  linear_query: 'LinearAttentionState',
  soft_nms: 'softNMS',
  head_logits: 'OutputHead',
  head_integer_logits: 'OutputHead',
  head_rows: 'OutputHead',
  head_sums: 'OutputHead',
  row_loss: 'crossEntropy',
  stable_max_loss: 'stableMaxCrossEntropy',
  sample_penalized: 'Sampler',
  moments: 'sample',
};
/** Kernels whose results are the sums or the steps of another operator, which the corpus hashes. */
const HASHED_BY: Readonly<Record<string, string>> = {
  attention: 'test/native/bits.cc',
  attention_backward: 'test/native/bits.cc',
  attention_exact: 'test/native/bits.cc',
  attention_cached: 'test/native/bits.cc',
  kv_append: 'test/native/bits.cc',
  linear_append: 'test/native/bits.cc',
  linear_query: 'test/native/bits.cc',
  argmax: 'test/native/bits.cc',
  top_k: 'test/native/bits.cc',
  sample: 'test/native/bits.cc',
  sample_penalized: 'test/native/bits.cc',
  moments: 'test/native/bits.cc',
  soft_nms: 'test/native/bits.cc',
  head_logits: 'test/native/bits.cc',
  head_integer_logits: 'test/native/bits.cc',
  head_rows: 'test/native/bits.cc',
  head_sums: 'test/native/bits.cc',
  iou_matrix: 'test/native/bits.cc',
  decode_yolo: 'test/native/bits.cc',
  route: 'test/native/bits.cc',
  load_balance_loss: 'test/native/bits.cc',
  route_backward: 'test/native/bits.cc',
};

const camel = (name: string) => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
const tests = (readdirSync(path.join(tree, 'test'), { recursive: true }) as string[])
  .filter((name) => name.endsWith('.test.ts') && !name.includes('package'))
  .map((name) => read('test', name));

/** The README, and the guides of families. */
const guides = readdirSync(path.join(tree, 'guides'))
  .filter((name) => name.endsWith('.md'))
  .map((name) => read('guides', name));
const documents = [read('README.md'), ...guides].join('\n');

describe('the house', () => {
  it('has all operators of the table', () => {
    const families = [...read('native', 'operators.def').matchAll(/^#include "(operators\/\w+\.def)"$/gm)];
    const table = families.map(([, file]) => read('native', file!)).join('\n');
    const named = [...table.matchAll(/^OPERATOR\((\w+),/gm)].map(([, name]) => name);
    expect(operators.map(({ name }) => name)).toEqual(named);
  });

  for (const operator of operators) {
    const name = PUBLIC[operator.name] ?? camel(operator.name);

    it(`has all of ${operator.name}`, () => {
      for (const type of operator.types) expect(js, 'lib/js/index.ts').toHaveProperty(`${operator.name}_${type}`);
      const entries = { ...root, ...attention, ...detection, ...head, ...sampling, ...routing, ...losses };
      expect(entries, 'an entry point of lib/').toHaveProperty(name);
      if (!(name in sampling) || name === 'sample' || name === 'topK') expect(promises).toHaveProperty(name);
      expect(
        tests.some((text) => new RegExp(`\\b${name}\\(|\\bnew ${name}\\b`).test(text)),
        'a test',
      ).toBe(true);
      expect(new RegExp(`\\b${name}\\b`).test(documents), 'README.md or a guide').toBe(true);
      const hashes = HASHED_BY[operator.name] ? read(HASHED_BY[operator.name]!) : read('test', 'corpus.json');
      expect(hashes.includes(HASHED_BY[operator.name] ? 'kernels.def' : name), 'a corpus hash').toBe(true);
    });
  }
});
