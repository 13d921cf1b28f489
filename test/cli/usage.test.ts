/** The help of the command line, and its errors. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { capture } from './capture.js';

const commands = ['info', 'softmax', 'bench', 'verify', 'tune', 'build', 'completion', 'help'];
const all = commands.join(', ');

describe('help', () => {
  it('is on stdout and names every command', async () => {
    for (const flag of ['--help', '-h']) {
      const { status, stdout, stderr } = await capture([flag]);
      expect([status, stderr]).toEqual([0, '']);
      for (const command of commands) expect(stdout).toContain(`  ${command} `);
    }
  });

  it.each(commands)('%s --help explains its options, beside any other argument', async (command) => {
    const { status, stdout, stderr } = await capture([command, '--help']);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(new RegExp(`^usage: flash-softmax ${command} `));
    expect(stdout).toContain('--help');
    expect(await capture([command, '-h', 'superfluous', 'words'])).toMatchObject({ status: 0, stdout });
  });

  it('help COMMAND is COMMAND --help, and help alone the overview', async () => {
    expect(await capture(['help'])).toEqual(await capture(['--help']));
    for (const command of commands) expect(await capture(['help', command])).toEqual(await capture([command, '-h']));
  });

  it('fits a terminal of 120 columns', async () => {
    for (const args of [['--help'], ...commands.map((command) => [command, '--help'])]) {
      for (const line of (await capture(args)).stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(120);
    }
  });
});

it('--version is the version of package.json', async () => {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  for (const flag of ['--version', '-V']) {
    expect(await capture([flag])).toEqual({ status: 0, stdout: `${manifest.version}\n`, stderr: '' });
  }
});

describe('usage errors are one line on stderr and exit status 2', () => {
  it.each([
    [[], `Expected a command (${all}) but received none`],
    [['frobnicate'], `Expected a command (${all}) but received 'frobnicate'`],
    [['help', 'frobnicate'], `Expected a command (${all}) but received 'frobnicate'`],
    [['completion', 'cmd'], "Expected one of bash, zsh, fish but received 'cmd'"],
    [
      ['softmax', '-', '--from', 'xls'],
      "Expected one of npy, npz, safetensors, json, csv for --from but received 'xls'",
    ],
    [['softmax', '-', '--out', '-', '--top', '3'], 'Expected no --top beside --out -'],
    [['--nope'], "received '--nope'"],
    [['info', '--nope'], 'Unknown option --nope'],
    [['info', '-x'], 'Unknown option -x'],
    [['info', '--constructor'], 'Unknown option --constructor'],
    [['info', 'two\nlines and \x1b[31mred'], "Unexpected argument 'two\\x0alines and \\x1b[31mred'"],
    [['info', 'more'], "Unexpected argument 'more'"],
    [['info', '--json=yes'], "Expected no value for --json but received 'yes'"],
    [['softmax'], 'Expected FILE'],
    [['softmax', 'a.npy', 'b.npy'], "Unexpected argument 'b.npy'"],
    [['softmax', 'a.npy', '--out'], 'Expected a value FILE for --out'],
    [['softmax', 'a.npy', '--out='], 'Expected a value FILE for --out'],
    ...['0', '-1', 'NaN', 'Infinity', '1e999', '1e-999', '0x10', '1_000', ' 1', 'one'].map(
      (bad): [string[], string] => [
        ['softmax', 'a.npy', '--temperature', bad],
        `Expected a finite number greater than 0 for --temperature but received '${bad}'`,
      ],
    ),
    ...['0', '-1', '1.5', '1e3', 'five', '9007199254740993'].map((bad): [string[], string] => [
      ['softmax', 'a.npy', '--top', bad],
      `Expected a whole number from 1 on for --top but received '${bad}'`,
    ]),
    ...['', '0', '10,', '-5', '1.5k', '1G', '257M', '10;20', '1x2x3', '0x5', '2x', '1Mx1k'].map(
      (bad): [string[], string] => [
        ['bench', '--shape', bad],
        bad === ''
          ? 'Expected a value LIST for --shape'
          : 'Expected shapes ROWSxCOLS of up to 256M numbers for --shape',
      ],
    ),
    [['bench', 'decode', '--shape', '8x64x128'], 'Expected shapes HEADSxKVHEADSxKEYSxSIZE of'],
    [['bench', 'sorting'], 'Expected one of softmax, log-softmax, log-sum-exp, cross-entropy, sample, top-k, route,'],
    [['bench', 'softmax', 'more'], "Unexpected argument 'more'"],
    [['bench', 'nms', '--dtype', 'float16'], "Expected one of float32 for --dtype of nms but received 'float16'"],
    [['bench', '--dtype', 'int8'], "for --dtype but received 'int8'"],
    [['bench', '--format', 'xml'], "Expected one of text, md, csv, json for --format but received 'xml'"],
    [['bench', '--threads', '0'], "Expected a whole number from 1 on for --threads but received '0'"],
    [['bench', '--backends', 'js,mmx'], "for --backends but received 'mmx'"],
    [['bench', '--time', 'forever'], "for --time but received 'forever'"],
    [['tune', '--time', '0'], "for --time but received '0'"],
    [['tune', '--out'], 'Expected a value FILE for --out'],
    [['verify', '--fast'], 'Unknown option --fast'],
  ])('%j', async (args, message) => {
    const { status, stdout, stderr } = await capture(args);
    expect(stderr).toContain(message);
    expect(stderr).toMatch(/^flash-softmax: [^\n]+\n$/);
    expect([status, stdout]).toEqual([2, '']);
  });
});
