/**
 * Stands in for 'vitest', which is too heavy for an emulated processor: the few names that tests of numbers use, on
 * Node's own runner, with vitest's `expect`. Test files are bundled against it.
 */
import { after, afterEach, before, beforeEach, describe, it as nodeIt } from 'node:test';
import { chai, JestAsymmetricMatchers, JestChaiExpect, JestExtend } from '@vitest/expect';

chai.use(JestExtend);
chai.use(JestChaiExpect);
chai.use(JestAsymmetricMatchers);

export const expect = Object.assign((value: unknown, message?: string) => chai.expect(value, message), chai.expect);
export { after as afterAll, afterEach, before as beforeAll, beforeEach, describe };

/** An emulated processor is some fifty times slower, so that vitest's time limits do not apply. */
const run = (name: string, body: () => void | Promise<void>) => nodeIt(name, () => body());
export const it = Object.assign(run, { runIf: (condition: unknown) => (condition ? run : () => {}) });

/** A bundle has each module once, and its process keeps the environment of its start. */
export const vi = { resetModules() {}, stubEnv() {}, unstubAllEnvs() {} };
