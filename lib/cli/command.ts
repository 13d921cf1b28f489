/**
 * Commands of the command line: their shape, arguments and help, and how they fail. A Failure prints one line on stderr
 * and exits with status 1, a UsageError with status 2.
 */
import { parseArgs } from 'node:util';
import { largestOf } from '../math/extremes.js';

export interface Output {
  write(text: string | Uint8Array): unknown;
  readonly isTTY?: boolean;
}

export interface Io {
  readonly stdin?: AsyncIterable<Uint8Array>;
  /** Results, and nothing else. */
  readonly stdout: Output;
  /** Messages. */
  readonly stderr: Output;
}

export interface Option {
  /** The name of the option's value in the help; an option without one is a switch. */
  readonly value?: string;
  readonly help: string;
}

/** The options that were given; a switch has the value ''. */
export type Given = ReadonlyMap<string, string>;

export interface Command {
  readonly name: string;
  readonly summary: string;
  /** The name of its operand, if it takes one. */
  readonly operand?: string;
  readonly isOperandOptional?: boolean;
  /** What the operand may be, for shells to complete; a file if absent. */
  readonly operands?: readonly string[];
  readonly options: Readonly<Record<string, Option>>;
  /** More text of the help. */
  readonly notes?: string;
  run(given: Given, operand: string, io: Io): number | Promise<number>;
}

export class Failure extends Error {
  override readonly name: string = 'Failure';
  readonly status: number = 1;
}

export class UsageError extends Failure {
  override readonly name = 'UsageError';
  override readonly status = 2;
}

const HELP: Option = { help: 'print this help' };

/** Reads a command's arguments. node:util splits them into tokens; checks and messages are here. */
export function parse(command: Command, argv: readonly string[]): { given: Given; operands: string[] } {
  const known: Record<string, Option> = { ...command.options, help: HELP };
  const kinds = Object.entries(known).map(
    ([name, { value }]) => [name, { type: value ? 'string' : 'boolean' }] as const,
  );
  const { tokens } = parseArgs({
    args: [...argv],
    options: { ...Object.fromEntries(kinds), help: { type: 'boolean', short: 'h' } },
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const given = new Map<string, string>();
  const operands: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') operands.push(token.value);
    if (token.kind !== 'option') continue;
    const option = Object.hasOwn(known, token.name) ? known[token.name]! : undefined;
    if (!option) throw new UsageError(`Unknown option ${token.rawName} (see flash-softmax ${command.name} --help)`);
    if (option.value && !token.value) throw new UsageError(`Expected a value ${option.value} for ${token.rawName}`);
    if (!option.value && token.value !== undefined) {
      throw new UsageError(`Expected no value for ${token.rawName} but received '${token.value}'`);
    }
    given.set(token.name, token.value ?? '');
  }
  return { given, operands };
}

/** The operand of a command that takes one, '' for others. Throws for another number of operands. */
export function onlyOperand(command: Command, operands: readonly string[]): string {
  const expected = command.operand ? 1 : 0;
  if (operands.length < expected && !command.isOperandOptional) {
    throw new UsageError(`Expected ${command.operand} (see flash-softmax ${command.name} --help)`);
  }
  if (operands.length > expected) throw new UsageError(`Unexpected argument '${operands[expected]}'`);
  return operands[0] ?? '';
}

/** The text of --help. */
export function help(command: Command): string {
  const entries = Object.entries({ ...command.options, help: HELP });
  const flags = entries.map(([name, { value }]) => `--${name}${value ? ` ${value}` : ''}`);
  const width = largestOf(flags.map((flag) => flag.length));
  const lines = entries.map(([, option], i) => `  ${flags[i]!.padEnd(width)}  ${option.help}`);
  const operand = command.operand ? ` ${command.operand}` : '';
  return `usage: flash-softmax ${command.name}${operand} [options]

${command.summary}

${lines.join('\n')}
${command.notes ? `\n${command.notes}` : ''}`;
}

// ---- values of options --------------------------------------------------------------------------------

/** A decimal number greater than 0. */
export function positive(given: Given, name: string, otherwise: number): number {
  const text = given.get(name);
  if (text === undefined) return otherwise;
  const value = /^\+?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : NaN;
  if (value > 0 && value < Infinity) return value;
  throw new UsageError(`Expected a finite number greater than 0 for --${name} but received '${text}'`);
}

/** A whole number, also below 0. */
export function integer(given: Given, name: string, otherwise: number): number {
  const text = given.get(name);
  if (text === undefined) return otherwise;
  if (/^[+-]?\d{1,15}$/.test(text)) return Number(text);
  throw new UsageError(`Expected a whole number for --${name} but received '${text}'`);
}

/** One of some names. */
export function oneName<Name extends string>(given: Given, name: string, allowed: readonly Name[]): Name | undefined {
  const text = given.get(name);
  const found = allowed.find((each) => each === text);
  if (text === undefined || found !== undefined) return found;
  throw new UsageError(`Expected one of ${allowed.join(', ')} for --${name} but received '${text}'`);
}

/** A whole number from 1 on. */
export function count(given: Given, name: string, otherwise: number): number {
  const text = given.get(name);
  if (text === undefined) return otherwise;
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (value >= 1 && Number.isSafeInteger(value)) return value;
  throw new UsageError(`Expected a whole number from 1 on for --${name} but received '${text}'`);
}

/** Names separated by commas, out of `allowed`; returned in the order of `allowed`, each once. */
export function names<Name extends string>(given: Given, name: string, allowed: readonly Name[]): readonly Name[] {
  const text = given.get(name);
  if (text === undefined) return allowed;
  const wanted = text.split(',');
  const unknown = wanted.find((each) => !allowed.includes(each as Name));
  if (unknown !== undefined) {
    throw new UsageError(`Expected some of ${allowed.join(', ')} for --${name} but received '${unknown}'`);
  }
  return allowed.filter((each) => wanted.includes(each));
}
