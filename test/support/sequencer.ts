/**
 * The order of test files: those that take longest begin first, so that none runs by itself at the end. vitest would
 * know their times from an earlier run; a fresh machine has had none.
 */
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files that take more than a quarter of a minute, by descending processor time. */
const LONGEST = [
  'native/sanitize',
  'native/native',
  'native/qemu-arm64',
  'native/qemu-x86',
  'package/install',
  'call/abuse',
  'package/build',
  'native/compilers',
  'attention/attention',
  'softmax/softmax',
  'package/examples',
  'call/fuzz',
  'attention/attention-backward',
  'call/workers',
  'consumers/runtimes',
  'consumers/installed',
  'attention/kv-memory',
  'attention/kv-untrusted',
  'attention/kv-evict',
  'consumers/bundlers',
  'softmax/exp-sum',
  'softmax/edge-table',
  'softmax/edge-backward',
  'sampling/filters',
  'call/corpus',
  'adapters/server',
  'adapters/transformers',
  'cli/verify',
  'package/loader',
  'package/docs',
];

export default class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification): number => {
      const at = LONGEST.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`));
      return at < 0 ? LONGEST.length : at;
    };
    return (await super.sort(files)).sort((a, b) => place(a) - place(b));
  }
}
