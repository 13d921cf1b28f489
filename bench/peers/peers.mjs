// The measured peers. A peer is { name, version, prepare(x, rows, cols) }; prepare returns a function that computes
// the softmax of every row of x and returns (or promises) the result. The function does all work of one real call.
// Work that a program does once for its model (sessions, wrapping a buffer in a tensor) is outside.
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { softmaxModel } from './onnx-model.mjs';

const require = createRequire(import.meta.url);
const dist = fileURLToPath(new URL('../../dist/', import.meta.url));
const versionOf = (name) =>
  JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url), 'utf8')).version;

/** The yardstick: in cache no function that reads and writes a row from JavaScript should be faster. */
export const memcpy = {
  name: 'memcpy',
  version: 'TypedArray.set',
  isCopy: true,
  prepare(x) {
    const out = new Float32Array(x.length);
    return () => {
      out.set(x);
      return out;
    };
  },
};

export const mathExp = {
  name: 'Math.exp loop',
  version: `V8 ${process.versions.v8}`,
  prepare(x, rows, cols) {
    const out = new Float32Array(x.length);
    return () => {
      for (let start = 0; start < x.length; start += cols) {
        const end = start + cols;
        let max = -Infinity;
        for (let i = start; i < end; i++) if (x[i] > max) max = x[i];
        let sum = 0;
        for (let i = start; i < end; i++) {
          out[i] = Math.exp(x[i] - max);
          sum += out[i];
        }
        const scale = 1 / sum;
        for (let i = start; i < end; i++) out[i] *= scale;
      }
      return out;
    };
  },
};

async function transformers() {
  const { softmax } = await import('@huggingface/transformers');
  return {
    name: 'transformers.js',
    version: versionOf('@huggingface/transformers'),
    prepare(x, rows, cols) {
      if (rows === 1) return () => softmax(x);
      const out = new Float32Array(x.length);
      return () => {
        for (let i = 0; i < x.length; i += cols) out.set(softmax(x.subarray(i, i + cols)), i);
        return out;
      };
    },
  };
}

async function onnxruntime(threads) {
  const { InferenceSession, Tensor } = require('onnxruntime-node');
  const session = await InferenceSession.create(softmaxModel(), { intraOpNumThreads: threads, interOpNumThreads: 1 });
  return {
    name: 'onnxruntime-node',
    version: versionOf('onnxruntime-node'),
    isAsync: true,
    prepare(x, rows, cols) {
      const out = new Float32Array(x.length);
      const feeds = { x: new Tensor('float32', x, [rows, cols]) };
      const fetches = { y: new Tensor('float32', out, [rows, cols]) }; // written in place: nothing is allocated
      return async () => {
        await session.run(feeds, fetches);
        return out;
      };
    },
  };
}

export async function onnxruntimeWeb(threads) {
  const { env, InferenceSession, Tensor } = await import('onnxruntime-web');
  env.wasm.numThreads = threads;
  const session = await InferenceSession.create(softmaxModel(), { executionProviders: ['wasm'] });
  return {
    name: 'onnxruntime-web',
    version: versionOf('onnxruntime-web'),
    isAsync: true,
    prepare(x, rows, cols) {
      const feeds = { x: new Tensor('float32', x, [rows, cols]) };
      return async () => (await session.run(feeds)).y.data;
    },
  };
}

export async function tfjsWasm(threads) {
  const tf = require('@tensorflow/tfjs-core');
  require('@tensorflow/tfjs-backend-wasm').setThreadsCount(threads);
  await tf.setBackend('wasm');
  return {
    name: 'tfjs-wasm',
    version: versionOf('@tensorflow/tfjs-backend-wasm'),
    prepare(x, rows, cols) {
      return () => {
        // by hand, not tf.tidy, which would search the result for tensors, element by element
        const input = tf.tensor2d(x, [rows, cols]);
        const output = tf.softmax(input);
        const result = output.dataSync();
        input.dispose();
        output.dispose();
        return result;
      };
    },
  };
}

/** flash-softmax, once for each backend: a copy of the library each, as a copy chooses its backend once. */
export async function flashSoftmax(threads) {
  if (!existsSync(`${dist}index.js`)) {
    console.log('flash-softmax: not built (npm run compile), so only the peers are measured');
    return [];
  }
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  const { capabilities } = await import('../../dist/index.js');
  const { backend: selected, available } = capabilities();
  return available.flatMap((backend) => {
    const library = copyForced(backend);
    library.setThreads?.(threads);
    const isSelected = backend === selected;
    const given = {
      name: `flash-softmax ${backend}`,
      version,
      backend,
      isSelected,
      library,
      prepare(x, rows, cols) {
        const out = new Float32Array(x.length);
        return () => library.softmax(x, { cols, out });
      },
    };
    const made = {
      name: `${given.name}, new result`,
      version,
      prepare: (x, rows, cols) => () => library.softmax(x, { cols }),
    };
    return isSelected ? [given, made] : [given];
  });
}

function copyForced(backend) {
  for (const file of Object.keys(require.cache)) if (file.startsWith(dist)) delete require.cache[file];
  const before = process.env.FLASH_SOFTMAX_BACKEND;
  process.env.FLASH_SOFTMAX_BACKEND = backend;
  try {
    const library = require(`${dist}index.cjs`);
    library.softmax(new Float32Array(1)); // the first use reads the variable
    return library;
  } finally {
    if (before === undefined) delete process.env.FLASH_SOFTMAX_BACKEND;
    else process.env.FLASH_SOFTMAX_BACKEND = before;
  }
}

export async function inProcessPeers(threads) {
  return [
    memcpy,
    ...(await flashSoftmax(threads)),
    await onnxruntime(threads),
    await onnxruntimeWeb(threads),
    await tfjsWasm(threads),
    mathExp,
    await transformers(),
  ];
}
