// The peers of bench/head.mjs: head.cc, built with OpenBLAS and oneDNN where Debian's libopenblas-dev and libdnnl-dev
// are there, and with ggml where FLASH_SOFTMAX_GGML names a folder that has its include/ and its shared libraries in
// lib/. Each is a process of its own, which waits while others are timed.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const ggml = process.env.FLASH_SOFTMAX_GGML;

const PEERS = {
  ggml: ggml && [`-I${ggml}/include`, `-L${ggml}/lib`, `-Wl,-rpath,${ggml}/lib`, '-lggml', '-lggml-base', '-lggml-cpu'],
  OpenBLAS: ['-lopenblas'],
  oneDNN: ['-ldnnl'],
};
const NEEDS = {
  ggml: 'FLASH_SOFTMAX_GGML (a folder with include/ and lib/ of ggml)',
  OpenBLAS: 'libopenblas-dev',
  oneDNN: 'libdnnl-dev',
};

/** The peers that can be built. One that cannot says what it needs. */
export function headPeers() {
  mkdirSync(path('build'), { recursive: true });
  return Object.entries(PEERS).flatMap(([name, flags]) => {
    const program = path(`build/head-${name}`);
    const source = ['-std=c++17', '-O2', `-D${name.toUpperCase()}`, path('head.cc')];
    const built = flags && spawnSync('g++', [...source, ...flags, '-o', program]).status === 0;
    if (!built) console.log(`${name}: not measured, as it needs g++ and ${NEEDS[name]}`);
    return built ? [peer(name, program)] : [];
  });
}

function peer(name, program) {
  const env = { ...process.env, OMP_NUM_THREADS: '1', OPENBLAS_NUM_THREADS: '1' };
  const child = spawn(program, { env, stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ask = async (line) => {
    child.stdin.write(`${line}\n`);
    const { value, done } = await lines.next();
    if (done) throw new Error(`The process of ${name} ended early`);
    return value;
  };
  return {
    name,
    has: async (format, rows, cols) => (await ask(`make ${format} ${rows} ${cols}`)) === 'ok',
    time: async (states) => Number(await ask(`time ${states}`)),
    close: () => child.stdin.end(),
  };
}
