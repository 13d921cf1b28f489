// A worker that loads the package and calls it: workerData is { entry, input, output, cols, calls }. It checks
// floating-point arithmetic after every call, and answers with the faults and the backend.
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
