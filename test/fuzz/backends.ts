/**
 * The library once for each backend, in one process: each module is loaded again under another query, with a backend
 * forced.
 */
import { pathToFileURL } from 'node:url';
import type { Api } from './case.js';
import type * as Library from './library.js';

export interface Loaded {
  readonly name: string;
  readonly isNative: boolean;
  readonly sync: Api;
  readonly promises: Api;
  readonly setThreads: (n: number) => number;
}

/**
 * `file` is the bundle of library.ts. The native backends come first, then JavaScript, then the library's own choice.
 */
export async function loadBackends(file: string, only?: readonly string[]): Promise<Loaded[]> {
  const load = async (name: string): Promise<Loaded> => {
    process.env.FLASH_SOFTMAX_BACKEND = name === 'default' ? '' : name;
    const library = (await import(`${pathToFileURL(file).href}?${name}`)) as typeof Library;
    const { backend } = library.root.capabilities(); // settles the choice
    if (name !== 'default' && backend !== name) throw new Error(`${backend} runs in place of ${name}`);
    return {
      name,
      isNative: name !== 'js',
      sync: {
        ...library.root,
        ...library.attention,
        ...library.losses,
        ...library.detection,
        ...library.head,
        ...library.ood,
        ...library.routing,
        ...library.ood,
        ...library.sampling,
      } as unknown as Api,
      // Samplers are made by the class, which has no promise.
      promises: { ...library.promises, Sampler: library.sampling.Sampler } as unknown as Api,
      setThreads: library.root.setThreads,
    };
  };
  const { availableBackends } = (await import(pathToFileURL(file).href)) as typeof Library;
  const names = [...availableBackends(), 'default'].filter((name) => only === undefined || only.includes(name));
  const loaded: Loaded[] = [];
  for (const name of names) loaded.push(await load(name));
  return loaded;
}
