/** flash-softmax info: capabilities(), as text and as JSON. */
import { expect, it } from 'vitest';
import { capabilities } from '../../lib/index.js';
import { capture } from './capture.js';

it('shows the backend and the reason for it', async () => {
  const { status, stdout, stderr } = await capture(['info']);
  expect([status, stderr]).toEqual([0, '']);
  const { backend, reason, available, native, processor } = capabilities();
  expect(stdout).toContain(`${backend}: ${reason}`);
  expect(stdout).toContain(available.join(', '));
  expect(stdout).toContain(processor);
  expect(stdout).toContain(native.loaded ? 'flash_softmax.node' : 'absent: ');
});

it('prints the same as JSON', async () => {
  const { status, stdout } = await capture(['info', '--json']);
  expect(status).toBe(0);
  const parsed = JSON.parse(stdout);
  expect(parsed).toMatchObject(JSON.parse(JSON.stringify(capabilities())));
  expect(parsed.version).toMatch(/^\d+\.\d+\.\d+/);
});
