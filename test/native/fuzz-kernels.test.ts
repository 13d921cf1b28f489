/**
 * The fuzzer of the kernels (programs/fuzz.cc): the same inputs in each run, some fifteen seconds of them, from the
 * committed ones on. The other families take longer to compile: a long run has them.
 */
import { join } from 'node:path';
import { describe } from 'vitest';
import { root } from '../support/emulated.js';
import { isLong } from '../support/long.js';
import { run } from '../support/run.js';
import { itWith, tool } from '../support/tools.js';

const compiler = tool('clang++-19 with its fuzzer', [
  'sh',
  '-c',
  'echo "extern \\"C\\" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }" > /tmp/fuzzer-$$.cc &&' +
    ' clang++-19 -fsanitize=fuzzer,address /tmp/fuzzer-$$.cc -o /tmp/fuzzer-$$; status=$?;' +
    ' rm -f /tmp/fuzzer-$$ /tmp/fuzzer-$$.cc; exit $status',
]);
const families = isLong
  ? ['detection', 'routing', 'sampling', 'head', 'softmax', 'attention']
  : ['detection', 'routing'];

describe.runIf(process.platform === 'linux' && process.arch === 'x64')('kernels fed with bytes', () => {
  for (const family of families)
    itWith(
      compiler,
      `${family}: no access beyond an array, no undefined behaviour`,
      async () => {
        await run(process.execPath, [join(root, 'scripts/fuzz-kernels.mjs'), family, '--runs', '60000']);
      },
      600_000,
    );
});
