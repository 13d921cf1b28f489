// The `logprobs` of OpenAI's chat completions: ln p of each chosen token, and of the most probable others.
import { logProbs, Sampler } from 'flash-softmax/sampling';

const vocabulary = ['Hello', ' world', '!', ' there', ' you', '.'];
// The logits of three steps.
const model = [
  Float32Array.of(5, -1, -2, 0, 0, -3),
  Float32Array.of(-2, 4, 1, 3.5, 2, 0),
  Float32Array.of(-4, -2, 6, -1, 0, 5.5),
];

const sampler = new Sampler({ temperature: 0.7, topP: 0.9, seed: 3 });
const utf8 = new TextEncoder();
const entry = (token, logprob) => ({
  token: vocabulary[token],
  logprob: Number(logprob.toFixed(6)),
  bytes: [...utf8.encode(vocabulary[token])],
});

const content = model.map((logits) => {
  const token = sampler.next(logits);
  const { logProbs: chosen, top } = logProbs(logits, token, { top: 2 }); // of the model: no temperature, no filters
  const others = [...top.indices].map((other, i) => entry(other, top.logProbs[i]));
  return { ...entry(token, chosen[0]), top_logprobs: others };
});
const message = { role: 'assistant', content: content.map(({ token }) => token).join('') };
const json = JSON.stringify({ choices: [{ message, logprobs: { content } }] }, null, 1);
const oneLine = (_, list) => `[${list.replace(/\s+/g, ' ')}]`; // the bytes of a token
console.log(json.replace(/\[\s+([\d,\s]+?)\s+\]/g, oneLine));
