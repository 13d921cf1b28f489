// Labels that are distributions: of several annotators, and of a teacher.
//
// Soft labels of one item are put together by their average (arXiv 2212.09409) or their conflation, the normalised
// product (Hill, arXiv 0808.1808), and train as the targets of crossEntropy:
//      average = Σ p_i / n      conflation = softmax(Σ ln p_i)
//
// CMI distillation (arXiv 2401.08732): a teacher's distributions tell more about single samples if it maximises the
// conditional mutual information of samples and predictions, given the label:
//      CMI = mean over samples of KL(P_x ‖ Q_y)      Q_y = mean of P_x over the samples of label y
//      teacher's loss = mean of crossEntropy − λ · CMI, the student's that of the teacher's softmax
import { crossEntropy, logSoftmax, softmax } from 'flash-softmax';

const print = (name, values) => console.log(`${name}: ${Array.from(values).join(' ')}`);
const mean = (x) => x.reduce((a, b) => a + b, 0) / x.length;

const annotators = [
  [0.7, 0.2, 0.1],
  [0.4, 0.4, 0.2],
];
const average = Float64Array.from(annotators[0], (_, c) => mean(annotators.map((p) => p[c])));
const sums = Float64Array.from(annotators[0], (_, c) => annotators.reduce((sum, p) => sum + Math.log(p[c]), 0));
const conflation = softmax(sums);
print('average', average);
print('conflation', conflation);

const item = Float64Array.of(1, 0.5, -1);
print('loss of the average', crossEntropy(item, average));
print('loss of the conflation', crossEntropy(item, conflation));

/** The conditional mutual information of a batch. */
function cmi(logits, labels, cols) {
  const p = softmax(logits, { cols });
  const logs = logSoftmax(logits, { cols });
  const centres = new Map();
  labels.forEach((label, r) => {
    const centre = centres.get(label) ?? { p: new Float64Array(cols), n: 0 };
    for (let c = 0; c < cols; c++) centre.p[c] += p[r * cols + c];
    centre.n++;
    centres.set(label, centre);
  });
  let sum = 0;
  labels.forEach((label, r) => {
    const { p: centre, n } = centres.get(label);
    for (let c = 0; c < cols; c++) sum += p[r * cols + c] * (logs[r * cols + c] - Math.log(centre[c] / n));
  });
  return sum / labels.length;
}

const cols = 3;
const labels = Int32Array.of(0, 0, 1, 1, 2);
const teacher = Float64Array.of(4, 1, 0, 3, 0, 1, 0, 5, 2, 2, 3, 0, 1, 0, 2);
const lambda = 0.15;
const likelihood = mean(crossEntropy(teacher, labels, { cols }));
const information = cmi(teacher, labels, cols);
print('CMI', [information]);
print("teacher's loss", [likelihood - lambda * information]);

// The student learns the teacher's distributions, softened by a temperature.
const soft = softmax(teacher, { cols, temperature: 4 });
const student = teacher.map((x) => x / 3);
const gradient = new Float64Array(student.length);
print("student's loss", [mean(crossEntropy(student, soft, { cols, temperature: 4, gradient }))]);
