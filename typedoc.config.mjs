// The reference of the public API as pages of the site, guides/reference/ (npm run docs): a folder for each entry in
// the `exports` of package.json, a page for each function and class.
import { existsSync, readFileSync } from 'node:fs';

const { exports } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'));
const sourceOf = (entry) => (entry === '.' ? 'lib/index.ts' : `lib/${entry.slice(2)}.ts`);
// Files, and the modules of WebAssembly as text, have no source of their own.
const sources = Object.keys(exports)
  .map(sourceOf)
  .filter((source) => existsSync(new URL(source, import.meta.url)));

/** @type {Partial<import('typedoc').TypeDocOptions & import('typedoc-plugin-markdown').PluginOptions>} */
export default {
  entryPoints: sources,
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
