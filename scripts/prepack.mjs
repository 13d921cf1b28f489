// npm's `prepack`: refuses to pack a package without binaries or without dist/, and writes dist/files.*.
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const prebuilds = existsSync(`${root}/prebuilds`) ? readdirSync(`${root}/prebuilds`, { recursive: true }) : [];
const missing = [
  ...(prebuilds.some((name) => name.endsWith('.node'))
    ? []
    : ['binaries in prebuilds/ (npm run prebuild, or npm run download-prebuilds)']),
  ...(existsSync(`${root}/wasm/softmax.wasm`) ? [] : ['modules in wasm/ (npm run build:wasm)']),
  ...(existsSync(`${root}/dist/index.js`) ? [] : ['dist/ (npm run build:ts)']),
];
if (missing.length > 0) {
  console.error(`flash-softmax cannot be packed: Expected ${missing.join(' and ')} but found none`);
  process.exit(1);
}
await import('./static-files.mjs');
