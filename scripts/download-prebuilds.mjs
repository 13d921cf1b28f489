// Downloads the binaries of a release into prebuilds/ of this checkout:
//
//     npm run download-prebuilds [-- vX.Y.Z]        default: the version in package.json
//
// A release has the files <platform>-<arch>.<name>.node and SHA256SUMS, with a line `<hex>  <file>` for each. All files
// are fetched and their sums compared before the first is written. FLASH_SOFTMAX_RELEASES names another place of
// releases.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const FILE = /^(linux|darwin|win32)-(x64|arm64)\.(flash-softmax(?:\.(?:glibc|musl))?\.node)$/;

/** The place of releases: the GitHub repository of the package or of this checkout. */
function releases() {
  if (process.env.FLASH_SOFTMAX_RELEASES) return process.env.FLASH_SOFTMAX_RELEASES;
  const origin =
    manifest.repository?.url ??
    spawnSync('git', ['remote', 'get-url', 'origin'], { cwd: root, encoding: 'utf8' }).stdout ??
    '';
  const repository = /github\.com[/:]([^/]+\/[^/\s]+?)(\.git)?\s*$/.exec(origin)?.[1];
  if (!repository)
    throw new Error(
      `Expected a repository on GitHub, or FLASH_SOFTMAX_RELEASES, for the place of releases but received '${origin.trim()}'`,
    );
  return `https://github.com/${repository}/releases/download`;
}

async function get(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`Expected ${url} but received ${response.status} ${response.statusText}`);
  return Buffer.from(await response.arrayBuffer());
}

async function download(tag, destination) {
  const from = `${releases()}/${tag}`;
  const lines = (await get(`${from}/SHA256SUMS`)).toString().trim().split(/\r?\n/);
  const sums = lines.map((line) => /^([0-9a-f]{64}) [ *](\S+)$/.exec(line)?.slice(1));
  const files = await Promise.all(
    sums.map(async (entry) => {
      const [sum, name] = entry ?? [];
      const parts = FILE.exec(name ?? '');
      if (!parts)
        throw new Error(
          `Expected lines "<hex>  <platform>-<arch>.flash-softmax.node" in SHA256SUMS but received ${name ?? 'something else'}`,
        );
      const bytes = await get(`${from}/${name}`);
      const actual = createHash('sha256').update(bytes).digest('hex');
      if (actual !== sum) throw new Error(`Expected the SHA-256 ${sum} for ${name} but received ${actual}`);
      return { path: join(destination, `${parts[1]}-${parts[2]}`, parts[3]), bytes };
    }),
  );
  for (const { path, bytes } of files) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(`${path}.part`, bytes);
    renameSync(`${path}.part`, path); // a binary that is half there would be loaded
    console.log(path);
  }
}

const [tag = `v${manifest.version}`, destination = join(root, 'prebuilds')] = process.argv.slice(2);
try {
  await download(tag, destination);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
