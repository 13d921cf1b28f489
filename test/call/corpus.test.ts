/**
 * The committed hashes of corpus.ts. A change of bits is a decision: UPDATE_CORPUS=1 npx vitest run
 * test/call/corpus.test.ts
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { backends, isNative, nativeBackends } from '../support/backends.js';
import { corpusInputs, corpusLengths, corpusOf, type Corpus } from '../support/corpus.js';

const file = new URL('../corpus.json', import.meta.url);

interface Committed {
  /** Hashes of a few inputs. If these differ, the rows are not the committed ones, and the results prove nothing. */
  inputs: string[];
  native: Corpus;
  js: Corpus;
}

function formatted(committed: Committed): string {
  // One line for each case, so that a diff is readable.
  return (
    JSON.stringify(committed, null, 1).replace(
      /\[\s+([^\]]*?)\s+\]/g,
      (_, list: string) => `[${list.replace(/\s+/g, ' ')}]`,
    ) + '\n'
  );
}

if (process.env.UPDATE_CORPUS === '1') {
  if (!nativeBackends[0])
    throw new Error('The corpus holds the bits of the native backends, and this machine has none');
  writeFileSync(file, formatted({ inputs: corpusInputs(), native: corpusOf(nativeBackends[0]), js: corpusOf('js') }));
}

/** The committed hashes of the lengths that run here. */
const ofLengths = (hashes: string[]) => hashes.slice(0, corpusLengths.length);

const committed = JSON.parse(readFileSync(file, 'utf8')) as Committed;

describe('the corpus', () => {
  it('has the inputs that were hashed', () => expect(corpusInputs()).toEqual(ofLengths(committed.inputs)));

  for (const name of backends) {
    it(`${name} has the committed bits`, () => {
      const actual = corpusOf(name);
      const wanted = isNative(name) ? committed.native : committed.js;
      expect(Object.keys(actual)).toEqual(Object.keys(wanted));
      for (const [what, hashes] of Object.entries(wanted)) {
        expect(actual[what], `${what}, lengths ${corpusLengths}`).toEqual(ofLengths(hashes));
      }
    });
  }
});
