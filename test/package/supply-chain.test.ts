/** What ships, and what builds it: few packages, licences that permit it, no script that runs at install. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

interface Locked {
  readonly version?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly license?: string;
  readonly hasInstallScript?: boolean;
  readonly integrity?: string;
}

const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as { packages: Record<string, Locked> };
const packages = Object.entries(lock.packages).filter(([path]) => path !== '');

/** Licences that let anyone use, change and pass on a program that was built with such packages. */
const PERMISSIVE = new Set(
  'MIT MIT-0 ISC 0BSD BSD-2-Clause BSD-3-Clause Apache-2.0 BlueOak-1.0.0 CC0-1.0 CC-BY-4.0 Python-2.0 Unlicense'.split(
    ' ',
  ),
);
/** Of tools, which leave nothing of theirs in what ships. */
const OF_TOOLS = new Set(['MPL-2.0', 'EPL-2.0']);

const isAllowed = (licence: string): boolean =>
  licence
    .replace(/[()]/g, '')
    .split(' OR ')
    .some((choice) => choice.split(' AND ').every((each) => PERMISSIVE.has(each) || OF_TOOLS.has(each)));

test('one package ships with this one', () => {
  const shipped = packages.filter(([, { dev }]) => dev !== true).map(([path]) => path);
  expect(shipped).toEqual(['node_modules/node-gyp-build']);
  expect(lock.packages['node_modules/node-gyp-build']).toMatchObject({ license: 'MIT' });
  expect(lock.packages['node_modules/node-gyp-build']!.hasInstallScript).toBeUndefined();
});

test('every package has a licence that permits its use, and a checksum', () => {
  const refused = packages.filter(([, { license }]) => !isAllowed(license ?? 'none'));
  expect(refused.map(([path, { license }]) => `${path}: ${license}`)).toEqual([]);
  expect(packages.filter(([, { integrity }]) => !integrity?.startsWith('sha512-')).map(([path]) => path)).toEqual([]);
});
