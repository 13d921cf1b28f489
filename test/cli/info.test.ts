/** flash-softmax info: what capabilities() says, for people and for machines. */
import { expect, it } from 'vitest';
import { capabilities } from '../../lib/index.js';
import { capture } from './capture.js';

it('says what runs and why', async () => {
  const { status, stdout, stderr } = await capture(['info']);
  expect([status, stderr]).toEqual([0, '']);
  const { backend, reason, available, native, processor } = capabilities();
  expect(stdout).toContain(`${backend}: ${reason}`);
  expect(stdout).toContain(available.join(', '));
  expect(stdout).toContain(processor);
  expect(stdout).toContain(native.loaded ? 'flash_softmax.node' : 'absent: ');
});

it('says the same to machines', async () => {
  const { status, stdout } = await capture(['info', '--json']);
  expect(status).toBe(0);
  const parsed = JSON.parse(stdout);
  expect(parsed).toMatchObject(JSON.parse(JSON.stringify(capabilities())));
  expect(parsed.version).toMatch(/^\d+\.\d+\.\d+/);
});
