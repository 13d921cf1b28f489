/** Backends by name, for programs that compare them. It brings all kernels of the JavaScript backend along. */
import type { Backend, BackendName } from './backend.js';
import { js } from '../js/index.js';
import { availableBackends, find, tableOf } from './choice.js';
import { settings } from './settings.js';

/** One of availableBackends(); RangeError for any other name. */
export function backendNamed(wanted: BackendName): Backend {
  const name = find(availableBackends(), wanted, 'the name of a backend');
  if (name === 'js') return js;
  settings();
  return tableOf(name);
}
