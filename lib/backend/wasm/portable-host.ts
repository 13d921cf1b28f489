/** Replaces host.ts where no file can be read: `init` of flash-softmax/wasm registers the modules that it has. */
import type * as node from './host.js';

let registered: node.Wasm = { error: 'init() of flash-softmax/wasm has not been awaited' };

export const wasm: typeof node.wasm = () => registered;

export const register: typeof node.register = (given) => (registered = given);
