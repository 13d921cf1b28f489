#!/usr/bin/env node
/** The program: the process around run(). */
import { run } from './run.js';

// The reader of a pipe may have had enough, as `head` does. That is not an error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

void run(process.argv.slice(2)).then((status) => {
  process.exitCode = status;
});
