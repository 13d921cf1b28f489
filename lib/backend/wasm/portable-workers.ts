/** Replaces workers.ts in the portable build: workers of browsers and of Deno. */
import type * as node from './workers.js';

interface PageWorker {
  onmessage: (() => void) | null;
  onerror: ((event: { preventDefault(): void }) => void) | null;
  postMessage(message: unknown): void;
  terminate(): void;
}

/** Where the page is cross-origin isolated: elsewhere it has no memory to share, and so no SharedArrayBuffer. */
export const startWorker: typeof node.startWorker = (program, onEnd) => {
  const { Blob, URL, Worker } = globalThis as unknown as {
    Blob: new (parts: string[], options: { type: string }) => object;
    URL: { createObjectURL(blob: object): string; revokeObjectURL(url: string): void };
    Worker: new (url: string) => PageWorker;
  };
  const port = '{ listen: (take) => { onmessage = ({ data }) => take(data); }, say: () => postMessage(0) }';
  const url = URL.createObjectURL(new Blob([`(${program})(${port});`], { type: 'text/javascript' }));
  const worker = new Worker(url);
  const answered = new Promise<void>((resolve) => {
    worker.onmessage = () => resolve();
    worker.onerror = (event) => {
      event.preventDefault();
      onEnd();
      resolve();
    };
  });
  void answered.then(() => URL.revokeObjectURL(url));
  const post = (message: unknown): void => worker.postMessage(message);
  return { post, answered, isAlive: undefined, end: () => worker.terminate() };
};
