// Scores of sequences: logSoftmax of each step, logSumExp of a row, and what both keep where others give 0.
import { logSoftmax, logSumExp } from 'flash-softmax';

const vocabulary = 5;
const logits = Float32Array.of(
  2, 1, 0, -1, 0.5,
  0, 25, 1, 0, 0, // one token towers over the others
);
const logs = logSoftmax(logits, { cols: vocabulary });

const tokens = [0, 1];
const score = tokens.reduce((sum, token, step) => sum + logs[step * vocabulary + token], 0);
console.log('score of the sequence:', score.toFixed(6));
console.log('the sure step, not 0:', logs[vocabulary + 1]);
console.log('logSumExp of [0, -92]:', logSumExp(Float32Array.of(0, -92))[0]);
