/** The command line without a process: takes arguments and outputs, returns an exit status. */
import { largestOf } from '../math/extremes.js';
import { bench } from './bench/command.js';
import { build } from './build.js';
import { completionScript, SHELLS } from './completion.js';
import { Failure, help, onlyOperand, parse, UsageError, type Command, type Io } from './command.js';
import { info } from './info.js';
import { softmax } from './softmax.js';
import { tune } from './tune.js';
import { verify } from './verify.js';
import { version } from './version.js';

/** help COMMAND is COMMAND --help. */
const helpCommand: Command = {
  name: 'help',
  summary: 'What a command does, and its options.',
  operand: '[COMMAND]',
  isOperandOptional: true,
  options: {},
  run(_, name, { stdout }) {
    stdout.write(name === '' ? overview() : help(commandOf(name)));
    return 0;
  },
};

const completionCommand: Command = {
  name: 'completion',
  summary: 'A script that completes commands and options, for bash, zsh or fish.',
  operand: 'SHELL',
  operands: SHELLS,
  options: {},
  notes: `bash: source <(flash-softmax completion bash)       in ~/.bashrc
zsh:  source <(flash-softmax completion zsh)        in ~/.zshrc, after compinit
fish: flash-softmax completion fish | source        in ~/.config/fish/config.fish
`,
  run(_, shell, { stdout }) {
    stdout.write(completionScript(shell, COMMANDS));
    return 0;
  },
};

const COMMANDS: readonly Command[] = [info, softmax, bench, verify, tune, build, completionCommand, helpCommand];

function commandOf(name: string | undefined): Command {
  const command = COMMANDS.find((each) => each.name === name);
  if (command) return command;
  const names = COMMANDS.map((each) => each.name).join(', ');
  const received = name === undefined ? 'none' : `'${name}'`;
  throw new UsageError(`Expected a command (${names}) but received ${received} (see flash-softmax --help)`);
}

function overview(): string {
  const width = largestOf(COMMANDS.map(({ name }) => name.length));
  const lines = COMMANDS.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
  return `usage: flash-softmax COMMAND [options]

${lines.join('\n')}

flash-softmax help COMMAND says more; --version prints the version.
`;
}

async function dispatch([name, ...rest]: readonly string[], io: Io): Promise<number> {
  if (name === '--help' || name === '-h') {
    io.stdout.write(overview());
    return 0;
  }
  if (name === '--version' || name === '-V') {
    io.stdout.write(`${version()}\n`);
    return 0;
  }
  const command = commandOf(name);
  const { given, operands } = parse(command, rest);
  if (given.has('help')) {
    io.stdout.write(help(command));
    return 0;
  }
  return await command.run(given, onlyOperand(command, operands), io);
}

/** Text as one line: control characters, which an argument or a file can contain, are escaped. */
function oneLine(text: string): string {
  return text.replace(
    /[\x00-\x1f\x7f-\x9f]/g,
    (control) => `\\x${control.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

/**
 * Runs one command line. An error that a user can mend (a Failure, or an error of the library with its `code`) becomes
 * one line on stderr; any other error is a defect and is thrown with its stack.
 */
export async function run(argv: readonly string[], io: Io = process): Promise<number> {
  try {
    return await dispatch(argv, io);
  } catch (error) {
    const isExpected = error instanceof Failure || (error instanceof Error && 'code' in error);
    if (!isExpected) throw error;
    io.stderr.write(`flash-softmax: ${oneLine(error.message)}\n`);
    return error instanceof Failure ? error.status : 1;
  }
}
