// Scores of sequences by logSoftmax, and logSumExp of a row. Both keep small values that other methods round to 0.
import { logSoftmax, logSumExp } from 'flash-softmax';

const vocabulary = 5;
const first = [2, 1, 0, -1, 0.5];
const second = [0, 25, 1, 0, 0]; // one token has nearly all of the probability
const logits = Float32Array.from([...first, ...second]);
const logs = logSoftmax(logits, { cols: vocabulary });

const tokens = [0, 1];
const score = tokens.reduce((sum, token, step) => sum + logs[step * vocabulary + token], 0);
console.log('score of the sequence:', score.toFixed(6));
console.log('the sure step, not 0:', logs[vocabulary + 1]);
console.log('logSumExp of [0, -92]:', logSumExp(Float32Array.of(0, -92))[0]);
