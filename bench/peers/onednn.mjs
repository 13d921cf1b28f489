// The native peer: builds onednn.cc if a compiler and oneDNN's headers are there, and talks to the process by lines.
// The process waits while other peers are timed, so that its samples are interleaved with theirs.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const program = path('build/onednn');
const inputFile = path('build/x.f32');
const resultFile = path('build/y.f32');

export async function oneDNN(threads) {
  mkdirSync(path('build'), { recursive: true });
  const built = spawnSync('g++', ['-std=c++17', '-O2', path('onednn.cc'), '-ldnnl', '-o', program]);
  if (built.status !== 0) {
    console.log('oneDNN: not measured, as it needs g++ and the headers of oneDNN (Debian: libdnnl-dev)');
    return [];
  }
  const child = spawn(program, {
    env: { ...process.env, OMP_NUM_THREADS: String(threads) },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error('The oneDNN process ended early');
    return value;
  };
  const ask = (line) => {
    child.stdin.write(`${line}\n`);
    return answer();
  };
  return [
    {
      name: 'oneDNN (C++)',
      version: await answer(),
      async load(x, rows, cols) {
        writeFileSync(inputFile, x);
        await ask(`load ${inputFile} ${rows} ${cols}`);
      },
      async result() {
        await ask(`result ${resultFile}`);
        const { buffer, byteOffset, byteLength } = readFileSync(resultFile);
        return new Float32Array(buffer, byteOffset, byteLength / 4);
      },
      async sample(calls) {
        const [seconds, memcpy] = (await ask(`time ${calls}`)).split(' ').map(Number);
        return { seconds, memcpy };
      },
      close() {
        child.stdin.end();
        rmSync(inputFile, { force: true });
        rmSync(resultFile, { force: true });
      },
    },
  ];
}
