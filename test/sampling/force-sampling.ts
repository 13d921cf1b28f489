/** Tests of sampling on each backend: the functions and their promises, loaded anew before each test. */
import { forceBackend } from '../support/force-backend.js';

export type SamplingApi = typeof import('../../lib/sampling.js');
export type PromisesApi = typeof import('../../lib/promises.js');

/** Before each test, forces a backend and hands modules over that have not chosen one yet. */
export function forceSampling(name: string, use: (api: SamplingApi, later: PromisesApi) => void): void {
  forceBackend(name, async () => use(await import('../../lib/sampling.js'), await import('../../lib/promises.js')));
}
