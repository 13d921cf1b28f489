/** Runs a program to its end; a failure shows all output. */
import { execFile } from 'node:child_process';

export interface Options {
  cwd?: string;
  env?: Record<string, string | undefined>;
}

/** Returns stdout. */
export function run(program: string, args: readonly string[], { cwd, env }: Options = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { cwd, env: { ...process.env, ...env }, maxBuffer: 1 << 26 };
    execFile(program, args, options, (error, stdout, stderr) => {
      if (!error) return resolve(stdout);
      const ending = error.signal ?? `exit status ${error.code}`;
      reject(new Error(`${[program, ...args].join(' ')}: ${ending}\n${stdout}\n${stderr}`));
    });
  });
}
