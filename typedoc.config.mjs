// The reference of the public API as pages of the site, guides/reference/ (npm run docs): a folder for each entry in
// the `exports` of package.json, a page for each function and class.
import { readFileSync } from 'node:fs';

const { exports } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'));
const entries = Object.keys(exports).filter((entry) => !entry.endsWith('.json'));

/** @type {Partial<import('typedoc').TypeDocOptions & import('typedoc-plugin-markdown').PluginOptions>} */
export default {
  entryPoints: entries.map((entry) => (entry === '.' ? 'lib/index.ts' : `lib/${entry.slice(2)}.ts`)),
  plugin: ['typedoc-plugin-markdown', 'typedoc-vitepress-theme'],
  out: 'guides/reference',
  docsRoot: 'guides',
  readme: 'none',
  excludePrivate: true,
  excludeInternal: true,
  disableSources: true,
  hidePageHeader: true,
  parametersFormat: 'table',
  interfacePropertiesFormat: 'table',
  validation: { notExported: false, invalidLink: true },
  treatWarningsAsErrors: true,
};
