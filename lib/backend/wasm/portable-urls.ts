/**
 * Where the portable build finds modules: wasm/ beside dist/. Bundlers see a new URL(…, import.meta.url) with a
 * constant path, and copy the file.
 */
const URLS: Readonly<Record<string, () => URL>> = {
  softmax: () => new URL('../../wasm/softmax.wasm', import.meta.url),
  logarithms: () => new URL('../../wasm/logarithms.wasm', import.meta.url),
  losses: () => new URL('../../wasm/losses.wasm', import.meta.url),
  attention: () => new URL('../../wasm/attention.wasm', import.meta.url),
  sampling: () => new URL('../../wasm/sampling.wasm', import.meta.url),
  detection: () => new URL('../../wasm/detection.wasm', import.meta.url),
  routing: () => new URL('../../wasm/routing.wasm', import.meta.url),
  head: () => new URL('../../wasm/head.wasm', import.meta.url),
};

/** The place of a module; undefined in CommonJS, which does not know its own. */
export function urlOf(name: string): URL | undefined {
  try {
    return URLS[name]!();
  } catch {
    return undefined;
  }
}
