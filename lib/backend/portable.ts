/**
 * Replaces native.ts where there is no Node, or a Node that loads no addons: in browsers, in bundles, with --no-addons.
 * The build for the conditions `browser` and `default` of package.json contains it (tsup.config.ts).
 */
import type * as node from './native.js';

interface Surroundings {
  readonly navigator?: { readonly hardwareConcurrency?: number };
  readonly process?: { readonly env?: Readonly<Record<string, string | undefined>> };
}

const surroundings = globalThis as Surroundings;

const absent: node.Native = {
  addon: null,
  error:
    'This is the portable build, which has no addon, for browsers and edge runtimes. ' +
    "In Node, resolve flash-softmax with the condition 'node' or leave it outside the bundle (external)",
};

export const native: typeof node.native = () => absent;

export const processor: typeof node.processor = () => 'unknown';

export const parallelism: typeof node.parallelism = () => surroundings.navigator?.hardwareConcurrency ?? 1;

/** Without the profile, which is a file about the addon. */
export const environment: typeof node.environment = (name) =>
  name === 'FLASH_SOFTMAX_PROFILE' ? undefined : surroundings.process?.env?.[name];
