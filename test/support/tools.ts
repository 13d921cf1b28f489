/**
 * Programs that a test needs and a machine may lack (a cross compiler, qemu, a Python with NumPy). Without one, the
 * test is skipped by name on a developer's machine, and fails where CI is 'true'.
 */
import { spawnSync } from 'node:child_process';
import { it } from 'vitest';
import { isLong } from './long.js';

export interface Tool {
  readonly name: string;
  readonly available: boolean;
  /** The program of the probe that worked, or of the first probe. */
  readonly path: string;
}

/** A tool is available if one of the probes, command lines tried in turn, exits with 0. */
export function tool(name: string, ...probes: [string[], ...string[][]]): Tool {
  const works = ([program, ...args]: string[]) => spawnSync(program!, args, { stdio: 'ignore' }).status === 0;
  const probe = probes.find(works);
  return { name, available: probe !== undefined, path: (probe ?? probes[0])[0]! };
}

/** A Python that can import NumPy. The first on the PATH may lack the NumPy of the system's package manager. */
export function numpy(): Tool {
  const probe = (python: string) => [python, '-c', 'import numpy'];
  return tool('python3 with numpy', probe('python3'), probe('/usr/bin/python3'));
}

/** `it` for a test that needs tools. */
export function itWith(needed: Tool | Tool[], name: string, body: () => void | Promise<void>, timeout?: number): void {
  const missing = [needed].flat().filter((each) => !each.available);
  if (missing.length === 0) {
    it(name, body, timeout);
    return;
  }
  const needs = `needs ${missing.map((each) => each.name).join(', ')}`;
  if (process.env.CI === 'true') {
    it(name, () => {
      throw new Error(`This test ${needs}; on CI it must run`);
    });
  } else {
    it.skip(`${name} (${needs})`, body);
  }
}

/** `itWith` for a test of a long run. Elsewhere it is skipped, and its name says what it asks for. */
export function itLong(needed: Tool | Tool[], name: string, body: () => void | Promise<void>, timeout?: number): void {
  if (isLong) itWith(needed, name, body, timeout);
  else it.skip(`${name} (needs FLASH_SOFTMAX_LONG=1)`, body);
}
