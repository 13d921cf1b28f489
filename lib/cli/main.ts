#!/usr/bin/env node
/** The program: calls run() with the arguments of the process. */
import { reason } from './files.js';
import { run } from './run.js';

// The reader of a pipe may close it early, as `head` does. That is not an error; a full disk is one.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit();
  process.stderr.write(`flash-softmax: Cannot write to standard output: ${reason(error)}\n`);
  process.exit(1);
});
// Nobody can be told that messages do not arrive.
process.stderr.on('error', () => {});

void run(process.argv.slice(2)).then((status) => {
  process.exitCode = status;
});
