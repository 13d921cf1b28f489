// Samples with this package in @huggingface/transformers (transformers.js), which has neither top-p nor min-p, and
// whose own sampler sorts through an ONNX session and draws in JavaScript:
//
//     import { pipeline } from '@huggingface/transformers';
//     import { sampling } from 'flash-softmax/adapters/transformers';
//
//     const generator = await pipeline('text-generation', 'HuggingFaceTB/SmolLM2-135M-Instruct');
//     const output = await generator('Hello', { max_new_tokens: 50, ...sampling({ temperature: 0.8, topP: 0.95 }) });
//
// Without a model to load, this program plays the part of generate(): it hands logits and tokens to the processors.
import { filtering, sampling } from 'flash-softmax/adapters/transformers';

const logits = () => ({ dims: [2, 4], data: Float32Array.of(1, 3, 2, 0, 0, 1, 4, 1) });
const history = [[1n, 1n], [0n]];

const filter = filtering({ temperature: 0.5, topK: 3, topP: 0.95 });
console.log('filtered:', [...filter.logits_processor(history, logits()).data].join(' '));

const onTokens = ({ tokens, logProbs }) =>
  console.log('drawn:', [...tokens].map((token, row) => `${token} (${logProbs[row].toFixed(3)})`).join(' '));
const sampler = sampling({ temperature: 0.9, topP: 0.95, seed: 7, frequencyPenalty: 0.5, onTokens });
for (let step = 0; step < 3; step++) {
  const { data } = sampler.logits_processor(history, logits());
  history.forEach((ids, row) => ids.push(BigInt(data.indexOf(0, 4 * row) - 4 * row)));
}
