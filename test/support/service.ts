/** Programs that serve while a test runs, and end with it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';

/** A port of this machine that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export interface Service {
  readonly child: ChildProcess;
  /** Resolves once the program has printed a text from now on or before; rejects if it ends first. */
  says(text: string): Promise<void>;
  kill(): Promise<void>;
}

/** Starts a program; its output is read, so that it never blocks. */
export function service(program: string, args: readonly string[]): Service {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const waiting = new Set<() => void>();
  const read = (text: unknown) => {
    output += String(text);
    for (const look of waiting) look();
  };
  child.stdout.on('data', read);
  child.stderr.on('data', read);
  const ended = new Promise<void>((resolve) => void child.once('close', () => resolve()));
  child.once('error', (error) => read(error));
  return {
    child,
    says: (text) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (!output.includes(text)) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
        void ended.then(() => reject(new Error(`${program} ended before it said '${text}': ${output}`)));
      }),
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
