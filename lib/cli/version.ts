/** The version of the package, read from the package itself: it exports its package.json, also to its own files. */
import { createRequire } from 'node:module';

export function version(): string {
  const manifest = createRequire(import.meta.url)('flash-softmax/package.json') as { version: string };
  return manifest.version;
}
