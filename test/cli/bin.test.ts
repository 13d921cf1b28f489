/** The program as it is installed: the built file, in a process of its own. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { formatNpy } from '../../lib/cli/npy.js';
import { itWith } from '../support/tools.js';
import { temporaryDirectory } from './capture.js';

const path = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const built = { name: 'dist/cli.js (npm run compile)', available: existsSync(path), path };

function program(args: string[], env: NodeJS.ProcessEnv = process.env) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [path, ...args], { encoding: 'utf8', env });
  return { status, stdout, stderr };
}

itWith(built, 'runs, and passes on the exit status', () => {
  expect(program(['--version'])).toMatchObject({ status: 0, stderr: '' });
  expect(program(['info'])).toMatchObject({ status: 0, stderr: '' });
  expect(program(['nonsense'])).toMatchObject({ status: 2, stdout: '' });
  expect(program(['softmax', 'missing.npy'])).toEqual({
    status: 1,
    stdout: '',
    stderr: 'flash-softmax: Cannot read missing.npy: no such file or directory\n',
  });
});

itWith(built, 'is a program for the shell', () => {
  expect(execFileSync('head', ['-1', path], { encoding: 'utf8' })).toBe('#!/usr/bin/env node\n');
});

itWith(built, 'says in one line that FLASH_SOFTMAX_BACKEND is wrong', () => {
  const directory = temporaryDirectory();
  const file = join(directory, 'x.npy');
  writeFileSync(file, Buffer.concat(formatNpy(Float32Array.of(1, 2), [2])));
  const { status, stdout, stderr } = program(['softmax', file], { ...process.env, FLASH_SOFTMAX_BACKEND: 'mmx' });
  expect([status, stdout]).toEqual([1, '']);
  expect(stderr).toMatch(/^flash-softmax: [^\n]*mmx[^\n]*\n$/);
});

itWith(built, 'is quiet when its reader leaves', async () => {
  const file = join(temporaryDirectory(), 'x.npy');
  writeFileSync(file, Buffer.concat(formatNpy(new Float32Array(200_000), [2000, 100])));
  const child = spawn(process.execPath, [path, 'softmax', file, '--top', '100'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (text) => (stderr += text));
  child.stdout.once('data', () => child.stdout.destroy());
  const status = await new Promise((resolve) => child.once('close', resolve));
  expect([status, stderr]).toEqual([0, '']);
});

itWith(built, 'says in one line that the disk is full', () => {
  const file = join(temporaryDirectory(), 'x.npy');
  writeFileSync(file, Buffer.concat(formatNpy(Float32Array.of(1, 2), [2])));
  for (const command of ['info', '--help', `softmax ${file}`, `softmax ${file} --out -`]) {
    const script = `${process.execPath} ${path} ${command} > /dev/full`;
    const { status, stderr } = spawnSync('sh', ['-c', script], { encoding: 'utf8' });
    expect(stderr).toBe('flash-softmax: Cannot write to standard output: no space left on device\n');
    expect(status).toBe(1);
  }
});

itWith(built, 'is a filter', () => {
  const input = '1,2,3\n3,2,1\n';
  const { status, stdout } = spawnSync(process.execPath, [path, 'softmax', '-', '--out', '-'], {
    input,
    encoding: 'utf8',
  });
  expect(status).toBe(0);
  expect(stdout.split('\n').map((line) => line.split(',').length)).toEqual([3, 3, 1]);
});

itWith(built, 'completes its commands in bash', () => {
  const script = `source <(${process.execPath} ${path} completion bash)
    COMP_WORDS=(flash-softmax "$1" "$2") COMP_CWORD=$3; _flash_softmax; echo "\${COMPREPLY[@]}"`;
  const complete = (...words: string[]) =>
    execFileSync('bash', ['-c', script, '-', words[0]!, words[1] ?? '', String(words.length)], {
      encoding: 'utf8',
    }).trim();
  expect(complete('so')).toBe('softmax');
  expect(complete('softmax', '--t')).toBe('--temperature --top --to');
  expect(complete('bench', 'a')).toBe('attention');
});
