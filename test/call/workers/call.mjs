// A worker that loads the package and calls it: workerData is { entry, input, output, cols, calls }. After every call
// it looks at floating-point arithmetic, and it answers with what it found wrong and with the backend that ran.
import { parentPort, workerData } from 'node:worker_threads';
import { disturbances } from './control.mjs';

const { entry, input, output, cols, calls } = workerData;
const { capabilities, softmax } = await import(entry);

const found = new Set(disturbances());
for (let i = 0; i < calls; i++) {
  softmax(input, { out: output, cols });
  for (const disturbance of disturbances()) found.add(disturbance);
}
parentPort.postMessage({ backend: capabilities().backend, disturbances: [...found] });
