/** Packages of others that are installed where the command runs, for `bench --peers`: softmax and log-softmax. */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Failure } from '../command.js';
import { rowModel } from './onnx-model.js';

export interface Rows {
  readonly x: Float32Array;
  readonly cols: number;
}

export interface Peer {
  readonly name: string;
  /** A function that does a work on these rows, or undefined if this peer has none for it. */
  prepare(work: string, rows: Rows): Promise<(() => unknown) | undefined>;
}

/** The parts of these packages that are called. */
interface Onnxruntime {
  readonly InferenceSession: {
    create(model: Uint8Array, options: object): Promise<{ run(feeds: object, fetches: object): Promise<unknown> }>;
  };
  readonly Tensor: new (type: string, data: Float32Array, dims: readonly number[]) => object;
}
interface Tensor {
  dataSync(): Float32Array;
  dispose(): void;
}
interface Tfjs {
  setBackend(name: string): Promise<boolean>;
  tensor2d(x: Float32Array, shape: readonly [number, number]): Tensor;
  readonly softmax: (x: Tensor) => Tensor;
  readonly logSoftmax: (x: Tensor) => Tensor;
}
interface Transformers {
  readonly softmax: (x: Float32Array) => ArrayLike<number>;
  readonly log_softmax: (x: Float32Array) => ArrayLike<number>;
}

async function onnxruntime(module: unknown, threads: number): Promise<Peer> {
  const { InferenceSession, Tensor } = module as Onnxruntime;
  const options = { intraOpNumThreads: threads, interOpNumThreads: 1, logSeverityLevel: 3 };
  return {
    name: 'onnxruntime',
    async prepare(work, { x, cols }) {
      const operator = { softmax: 'Softmax', 'log-softmax': 'LogSoftmax' }[work];
      if (operator === undefined) return undefined;
      const session = await InferenceSession.create(rowModel(operator), options);
      const dims = [x.length / cols, cols];
      const feeds = { x: new Tensor('float32', x, dims) };
      const fetches = { y: new Tensor('float32', new Float32Array(x.length), dims) };
      return () => session.run(feeds, fetches);
    },
  };
}

async function tfjs(module: unknown, threads: number, load: Load): Promise<Peer> {
  const tf = module as Tfjs;
  const backend = (await load('@tensorflow/tfjs-backend-wasm')) as { setThreadsCount(n: number): void };
  backend.setThreadsCount(threads);
  await tf.setBackend('wasm');
  return {
    name: 'tfjs-wasm',
    async prepare(work, { x, cols }) {
      const operator = { softmax: tf.softmax, 'log-softmax': tf.logSoftmax }[work];
      if (operator === undefined) return undefined;
      return () => {
        const input = tf.tensor2d(x, [x.length / cols, cols]);
        const output = operator(input);
        const result = output.dataSync();
        input.dispose();
        output.dispose();
        return result;
      };
    },
  };
}

async function transformers(module: unknown): Promise<Peer> {
  const { softmax, log_softmax } = module as Transformers;
  return {
    name: 'transformers.js',
    async prepare(work, { x, cols }) {
      const operator = { softmax, 'log-softmax': log_softmax }[work];
      if (operator === undefined) return undefined;
      const out = new Float32Array(x.length);
      return () => {
        for (let i = 0; i < x.length; i += cols) out.set(operator(x.subarray(i, i + cols)), i);
      };
    },
  };
}

type Load = (name: string) => Promise<unknown>;
type PeerOf = (module: unknown, threads: number, load: Load) => Promise<Peer>;

/** Each peer's packages, the one that is called first. */
const PEERS: readonly (readonly [PeerOf, ...string[]])[] = [
  [onnxruntime, 'onnxruntime-node'],
  [tfjs, '@tensorflow/tfjs-core', '@tensorflow/tfjs-backend-wasm'],
  [transformers, '@huggingface/transformers'],
];

/** The peers that are installed in this folder or one above it. Throws a Failure where there is none. */
export async function installedPeers(folder: string, threads: number): Promise<Peer[]> {
  const require = createRequire(join(folder, 'bench.js'));
  const isInstalled = (name: string): boolean => {
    try {
      return require.resolve(name) !== '';
    } catch {
      return false;
    }
  };
  const load: Load = async (name) => namespaceOf(await import(pathToFileURL(require.resolve(name)).href));
  const found: Peer[] = [];
  for (const [peerOf, ...names] of PEERS) {
    if (names.every(isInstalled)) found.push(await peerOf(await load(names[0]!), threads, load));
  }
  if (found.length > 0) return found;
  const all = PEERS.flatMap(([, ...names]) => names).join(' ');
  throw new Failure(`No package to compare with is installed in ${folder}: npm i ${all}`);
}

/** What a module exports; CommonJS arrives as `default`. */
function namespaceOf(module: unknown): unknown {
  const { default: inner } = module as { default?: object };
  return inner === undefined ? module : { ...inner, ...(module as object) };
}
