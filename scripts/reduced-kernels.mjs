/** A copy of the kernels with some of their operators, which compiles in a fraction of the time. */
import { cpSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The families of operators, by the files of native/operators/. */
export const FAMILIES = readdirSync(path.join(root, 'native/operators'))
  .filter((name) => name.endsWith('.def'))
  .map((name) => name.slice(0, -4));

/**
 * Copies native/ and test/native/ into `folder`. Only operators of `families` and of `operators`, where these are
 * given, stay in the table; `types` is a list of defaults.inc in place of their own.
 */
export function copyKernels(folder, { families, operators, types }) {
  rmSync(folder, { recursive: true, force: true });
  for (const part of ['native', 'test/native'])
    cpSync(path.join(root, part), path.join(folder, part), { recursive: true });
  for (const family of FAMILIES) {
    const file = path.join(folder, 'native/operators', `${family}.def`);
    const keeps = (name) => (families?.includes(family) ?? true) && (operators?.includes(name) ?? true);
    const text = readFileSync(file, 'utf8').replace(
      /^OPERATOR\((\w+), (\w+)\)([\s\S]*?^END\(\1\)\n)/gm,
      (_, name, all, rest) => (keeps(name) ? `OPERATOR(${name}, ${types ?? all})${rest}` : ''),
    );
    writeFileSync(file, text);
  }
}
