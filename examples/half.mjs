// Half types: bfloat16 logits as they lie in memory, with results of the same type or float32.
import { logSumExp, softmax } from 'flash-softmax';

// 1, 2, 3, 0.5 in bfloat16: the upper halves of their float32 bits.
const logits = Uint16Array.of(0x3f80, 0x4000, 0x4040, 0x3f00);
const options = { dtype: 'bfloat16' };

console.log(
  'bfloat16 bits:',
  [...softmax(logits, options)].map((bits) => bits.toString(16)),
);
console.log('float32:', softmax(logits, { ...options, out: new Float32Array(logits.length) }));
console.log('logSumExp:', logSumExp(logits, options)[0]);
