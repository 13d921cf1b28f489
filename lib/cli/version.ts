/** The version of the package, from its package.json, which the package exports to its own files too. */
import { createRequire } from 'node:module';

export function version(): string {
  const manifest = createRequire(import.meta.url)('flash-softmax/package.json') as { version: string };
  return manifest.version;
}
