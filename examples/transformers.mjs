// A fast logits processor and sampler for @huggingface/transformers (Transformers.js), which has neither top-p nor min-p,
// and whose own sampler sorts through an ONNX session and draws in JavaScript:
//
//     import * as transformers from '@huggingface/transformers';
//     import { adapt } from './transformers.mjs';
//
//     const { FlashSampler } = adapt(transformers);
//     const penalties = { repetitionPenalty: 1.1 };
//     const sampler = new FlashSampler({ temperature: 0.8, topK: 50, topP: 0.95, minP: 0.05, seed: 1, penalties });
//     const output = await model.generate({ ...inputs, do_sample: false, logits_processor: [sampler] });
//
// FlashSampler draws the token itself and leaves no other, so generate() must take the largest (do_sample: false).
// FlashFilter filters in place, as a LogitsWarper does, and leaves the draw to generate().
import { filterLogits, penalize, sample } from 'flash-softmax/sampling';

/** @param {Pick<typeof import('@huggingface/transformers'), 'LogitsProcessor'>} transformers */
export function adapt({ LogitsProcessor }) {
  class FlashProcessor extends LogitsProcessor {
    constructor({ penalties, seed = 0, ...filters } = {}) {
      super();
      Object.assign(this, { penalties, seed, filters, step: 0 });
    }

    /** Applies penalties to the batch of logits in place, one row for each sequence; returns the length of a row. */
    penalize(inputIds, logits) {
      const cols = logits.dims.at(-1);
      if (this.penalties)
        penalize(
          logits.data,
          inputIds.map((ids) => ids.map(Number)),
          { ...this.penalties, cols, out: logits.data },
        );
      return cols;
    }
  }

  class FlashFilter extends FlashProcessor {
    _call(inputIds, logits) {
      const cols = this.penalize(inputIds, logits);
      logits.data.set(filterLogits(logits.data, { ...this.filters, cols }).logits);
      return logits;
    }
  }

  class FlashSampler extends FlashProcessor {
    _call(inputIds, logits) {
      const cols = this.penalize(inputIds, logits);
      const tokens = sample(logits.data, { ...this.filters, cols, seed: this.seed, step: this.step++ });
      logits.data.fill(-Infinity);
      tokens.forEach((token, row) => (logits.data[row * cols + token] = 0));
      return logits;
    }
  }
  return { FlashFilter, FlashSampler };
}

// Run as a program, it shows both on example logits, with a stand-in for the package if that is not installed.
if (process.argv[1] === (await import('node:url')).fileURLToPath(import.meta.url)) {
  const transformers = await import('@huggingface/transformers').catch(() => ({
    LogitsProcessor: class {},
    Tensor: class {
      constructor(type, data, dims) {
        Object.assign(this, { type, data, dims });
      }
    },
  }));
  const { FlashFilter, FlashSampler } = adapt(transformers);
  const logits = () => new transformers.Tensor('float32', Float32Array.of(1, 3, 2, 0, 0, 1, 4, 1), [2, 4]);
  const history = [[1n, 1n], [0n]];
  console.log(
    'filtered:',
    [...new FlashFilter({ temperature: 0.5, topK: 3, topP: 0.95 })._call(history, logits()).data].join(' '),
  );
  const sampler = new FlashSampler({ temperature: 0.9, topP: 0.95, seed: 7, penalties: { frequencyPenalty: 0.5 } });
  for (let step = 0; step < 3; step++) {
    const { data } = sampler._call(history, logits());
    console.log(`step ${step}:`, [data.indexOf(0), data.indexOf(0, 4) - 4].join(' '));
  }
}
