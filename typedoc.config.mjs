// The reference of the public API, into docs/ (npm run docs): one page for each entry in the `exports` of package.json.
import { readFileSync } from 'node:fs';

const { exports } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'));
const entries = Object.keys(exports).filter((entry) => !entry.endsWith('.json'));

/** @type {Partial<import('typedoc').TypeDocOptions>} */
export default {
  entryPoints: entries.map((entry) => (entry === '.' ? 'lib/index.ts' : `lib/${entry.slice(2)}.ts`)),
  out: 'docs',
  excludePrivate: true,
  excludeInternal: true,
  disableSources: true,
  includeVersion: true,
  validation: { notExported: false, invalidLink: true },
  treatWarningsAsErrors: true,
};
