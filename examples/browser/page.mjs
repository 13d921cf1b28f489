// The probabilities of some words, as temperature and top-p change them, and draws from them.
import { capabilities } from 'flash-softmax';
import { logSumExp, sampleMany } from 'flash-softmax/promises';
import { filterLogits } from 'flash-softmax/sampling';

const WORDS = ['the', 'a', 'an', 'this', 'that', 'no', 'every', 'some'];
const logits = Float32Array.of(4, 3.4, 1.2, 2.5, 2.2, 0.3, 1, 1.6);
const element = (id) => document.getElementById(id);
const inputs = ['temperature', 'topP'].map(element);
const options = () => Object.fromEntries(inputs.map(({ id, valueAsNumber }) => [id, valueAsNumber]));
const percent = (p) => `${(100 * p).toFixed(1)} %`;

function show() {
  for (const input of inputs) input.nextElementSibling.value = input.value;
  const { probabilities } = filterLogits(logits, options());
  const items = WORDS.map((word, i) => {
    const [item, bar] = [document.createElement('li'), document.createElement('div')];
    bar.style.width = percent(probabilities[i]);
    item.append(word, bar, percent(probabilities[i]));
    return item;
  });
  element('words').replaceChildren(...items);
}

async function draw() {
  const tokens = await sampleMany(logits, 10_000, { ...options(), seed: 1 });
  const counts = WORDS.map((_, i) => tokens.reduce((sum, token) => sum + (token === i), 0));
  element('drawn').textContent = WORDS.map((word, i) => `${word} ${counts[i]}`).join(', ');
}

for (const input of inputs) input.addEventListener('input', show);
element('draw').addEventListener('click', draw);
show();
await draw();

const long = Float32Array.from({ length: 1_000_000 }, (_, i) => Math.sin(i));
const begun = performance.now();
const [sum] = await logSumExp(long);
const took = (performance.now() - begun).toFixed(0);
const { backend } = capabilities();
element('state').textContent = `backend ${backend}; logSumExp of a million: ${sum.toFixed(9)}, ${took} ms`;
document.title = 'ready';
