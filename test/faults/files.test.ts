/**
 * The command line on a disk that is full, broken or not to be written: one line on stderr, the old file whole, and
 * nothing else left in the folder. Each call of the system fails in turn.
 */
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect } from 'vitest';
import { formatNpy } from '../../lib/cli/npy.js';
import { temporaryDirectory } from '../cli/capture.js';
import { itWith } from '../support/tools.js';
import { canPreload, library, node, program, tools } from './preloaded.js';

const { EACCES, EIO, ENOSPC, EROFS } = constants.errno;

let preload = '';
beforeAll(() => {
  if (tools.every(({ available }) => available)) preload = library();
});

/** A folder with rows in x.npy, and with y.npy, which nobody else may read. */
function folder(elements = 1000): string {
  const directory = temporaryDirectory();
  writeFileSync(join(directory, 'x.npy'), Buffer.concat(formatNpy(new Float32Array(elements), [elements])));
  writeFileSync(join(directory, 'y.npy'), 'old');
  chmodSync(join(directory, 'y.npy'), 0o600);
  return directory;
}

const writers: Record<string, (out: string, x: string) => string[]> = {
  softmax: (out, x) => ['softmax', x, '--out', out],
  tune: (out) => ['tune', '--time', '0.05', '--out', out],
  bench: (out) => ['bench', '--shape', '64', '--time', '0.05', '--svg', out],
};

describe.runIf(canPreload)('a file that cannot be written', () => {
  for (const [call, codes] of [
    ['open', [EACCES, EROFS]],
    ['write', [ENOSPC, EIO]],
    ['fsync', [EIO]],
    ['rename', [EROFS]],
  ] as const) {
    itWith([...tools], `${call} fails: an error, the old file and no other`, () => {
      const directory = folder();
      const [x, out] = [join(directory, 'x.npy'), join(directory, 'y.npy')];
      for (const code of codes)
        for (let at = 1; ; at++) {
          const env = { LD_PRELOAD: preload, FAULT: `${call} ${at} ${code}`, FAULT_FOLDER: directory };
          const { status, stdout, stderr } = node([program, ...writers.softmax!(out, x)], env);
          expect(readdirSync(directory).sort()).toEqual(['x.npy', 'y.npy']);
          if (status === 0) {
            expect(at, 'the number of calls, and one').toBe(call === 'write' ? 3 : 2);
            writeFileSync(out, 'old');
            break;
          }
          expect([status, stdout]).toEqual([1, '']);
          expect(stderr).toMatch(/^flash-softmax: Cannot write \S+y\.npy: [\w/ -]+\n$/);
          expect(readFileSync(out, 'utf8')).toBe('old');
        }
    });
  }

  for (const [name, argsOf] of Object.entries(writers)) {
    itWith([...tools], `${name} writes all of it, or nothing`, () => {
      const directory = folder();
      const args = [program, ...argsOf(join(directory, 'y.npy'), join(directory, 'x.npy'))];
      const env = { LD_PRELOAD: preload, FAULT_FOLDER: directory };
      const failed = node(args, { ...env, FAULT: `write 1 ${ENOSPC}` });
      expect(failed.status).toBe(1);
      expect(failed.stderr).toMatch(/flash-softmax: Cannot write \S+y\.npy: no space left on device\n$/);
      expect(readFileSync(join(directory, 'y.npy'), 'utf8')).toBe('old');
      // Half of a write is no error: the rest follows.
      expect(node(args, { ...env, FAULT: 'write 1 0' }).status).toBe(0);
      expect(readFileSync(join(directory, 'y.npy')).length).toBeGreaterThan(100);
      expect(readdirSync(directory).sort()).toEqual(['x.npy', 'y.npy']);
      expect(statSync(join(directory, 'y.npy')).mode & 0o777, 'who may read it').toBe(0o600);
    });
  }

  itWith([...tools], 'a device takes what it is given, or says why not', () => {
    const directory = folder();
    const { status, stderr } = node([program, ...writers.softmax!('/dev/full', join(directory, 'x.npy'))]);
    expect([status, stderr]).toEqual([1, 'flash-softmax: Cannot write /dev/full: no space left on device\n']);
    const kernel = node([program, ...writers.softmax!('/proc/y.npy', join(directory, 'x.npy'))]);
    expect(kernel).toMatchObject({ status: 1, stdout: '' });
    expect(kernel.stderr).toMatch(/^flash-softmax: Cannot write \/proc\/y\.npy: [\w -]+\n$/);
  });
});

describe.runIf(canPreload)('standard input and output', () => {
  itWith([...tools], 'input that is a folder, or closed, is one line', () => {
    for (const input of ['< /', '<&-']) {
      const { status, stderr } = shell(`softmax - ${input}`);
      expect([status, stderr.split('\n').length]).toEqual([1, 2]);
      expect(stderr).toMatch(/^flash-softmax: /);
    }
  });

  itWith([...tools], 'a file is written though nobody reads what is printed', () => {
    const directory = folder();
    const out = join(directory, 'y.npy');
    for (const sink of ['| true', '> /dev/full', '2> /dev/full', '>&-']) {
      writeFileSync(out, 'old');
      shell(`softmax ${join(directory, 'x.npy')} --top 3 --out ${out} ${sink}`);
      expect(readFileSync(out).length, sink).toBe(128 + 4000);
      expect(readdirSync(directory).sort()).toEqual(['x.npy', 'y.npy']);
    }
  });
});

function shell(command: string) {
  const script = `"$0" "$1" ${command}`;
  try {
    execFileSync('sh', ['-c', script, process.execPath, program], { encoding: 'utf8', stdio: 'pipe' });
    return { status: 0, stderr: '' };
  } catch (error) {
    const { status, stderr } = error as { status: number; stderr: string };
    return { status, stderr };
  }
}

describe.runIf(process.platform !== 'win32')('a signal while a file is written', () => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    itWith([...tools], `${signal} ends the process, and leaves the old file or the new one`, async () => {
      const directory = folder(2 ** 24);
      const out = join(directory, 'y.npy');
      const isNew = new Set<boolean>();
      for (let wait = 0; wait < 3; wait++) {
        writeFileSync(out, 'old');
        const child = spawn(process.execPath, [program, 'softmax', join(directory, 'x.npy'), '--out', out]);
        // From the first look at a temporary file on, or just before.
        const isTemporary = () => readdirSync(directory).some((name) => name.endsWith('.tmp'));
        while (wait > 0 && child.exitCode === null && !isTemporary()) await new Promise((soon) => setTimeout(soon, 1));
        child.kill(signal);
        const ended = await new Promise((resolve) => child.once('exit', (_, by) => resolve(by)));
        if (ended !== null) expect(ended).toBe(signal);
        expect(readdirSync(directory).sort()).toEqual(['x.npy', 'y.npy']);
        const { size } = statSync(out);
        expect([3, 128 + 4 * 2 ** 24]).toContain(size);
        isNew.add(size > 3);
      }
      expect([...isNew]).toContain(true);
    });
  }
});
