/** Starts a worker thread of Node for a program that is text. portable-workers.ts has the same for browsers. */
import { MessageChannel, Worker } from 'node:worker_threads';

export interface Started {
  post(message: unknown): void;
  /** Resolves when the thread has answered its first message, or has ended. */
  readonly answered: Promise<void>;
  /** Whether the thread has not ended, while this one is blocked; undefined where nobody can say. */
  readonly isAlive: (() => boolean) | undefined;
  /** Ends the thread. */
  end(): void;
}

/** Starts a thread whose program is the text of a function that takes a port. Throws if no thread may start. */
export function startWorker(program: string, onEnd: () => void): Started {
  const port = '{ listen: (take) => port.on("message", take), say: () => port.postMessage(0) }';
  const text = `const { parentPort: port } = require('node:worker_threads'); (${program})(${port});`;
  const { port1: mine, port2: its } = new MessageChannel();
  mine.unref();
  // No option of the process: with --input-type=module the text is no script.
  const worker = new Worker(text, { eval: true, execArgv: [], workerData: its, transferList: [its] });
  const answered = new Promise<void>((resolve) => {
    worker.once('message', () => {
      worker.unref(); // an idle thread keeps no process alive
      resolve();
    });
    worker.once('error', () => undefined).once('exit', () => (onEnd(), resolve()));
  });
  // Node's postMessage returns true as long as the other port, which ends with its thread, is open.
  const isOpen = (): boolean => (mine.postMessage(0) as unknown) === true;
  return {
    post: (message) => worker.postMessage(message),
    answered,
    isAlive: isOpen() ? isOpen : undefined,
    end: () => void worker.terminate(),
  };
}
