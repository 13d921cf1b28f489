/** The whole public interface in one module, so that a process can have it once for each backend (backends.ts). */
export * as root from '../../lib/index.js';
export * as attention from '../../lib/attention.js';
export * as detection from '../../lib/detection.js';
export * as head from '../../lib/head.js';
export * as ood from '../../lib/ood.js';
export * as routing from '../../lib/routing.js';
export * as losses from '../../lib/losses.js';
export * as sampling from '../../lib/sampling.js';
export * as promises from '../../lib/promises.js';
export { availableBackends } from '../../lib/backend/choice.js';
