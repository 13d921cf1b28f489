/** Tests of the output head on each backend: its module and those it is compared with, loaded anew before each test. */
import { forceBackend } from '../support/force-backend.js';

export interface HeadModules {
  readonly lib: typeof import('../../lib/head.js');
  readonly root: typeof import('../../lib/index.js');
  readonly sampling: typeof import('../../lib/sampling.js');
  readonly later: typeof import('../../lib/promises.js');
}

/** Before each test, forces a backend and hands modules over that have not chosen one yet. */
export function forceHead(name: string, use: (modules: HeadModules) => void): void {
  forceBackend(name, async () =>
    use({
      lib: await import('../../lib/head.js'),
      root: await import('../../lib/index.js'),
      sampling: await import('../../lib/sampling.js'),
      later: await import('../../lib/promises.js'),
    }),
  );
}
