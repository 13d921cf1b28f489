/** Tests of public functions on each backend: modules choose a backend when they are first used. */
import { afterEach, beforeEach, vi } from 'vitest';

/** Before each test, forces a backend and calls `load`, whose imports give modules that have not chosen one yet. */
export function forceBackend(name: string, load: () => Promise<void>): void {
  beforeEach(async () => {
    vi.resetModules();
    vi.stubEnv('FLASH_SOFTMAX_BACKEND', name);
    await load();
  });
  afterEach(() => vi.unstubAllEnvs());
}
