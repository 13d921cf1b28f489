/** Errors of requests: which parameter, and the body of the answer. */
import { describe, outOfRange, wrongType, wrongValue } from '../../call/errors.js';

/** The body of an answer with status 400 or 500. */
export interface OpenAIErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: 'invalid_request_error' | 'server_error';
    /** The parameter of the request; null if it is another error. */
    readonly param: string | null;
    readonly code: string | null;
  };
}

/** Adds the name of a parameter to an error. */
export const ofParam = <E extends Error>(error: E, param: string): E & { param: string } =>
  Object.assign(error, { param });

/** Fields of a request: each is read once; null is no value. */
export class Fields {
  readonly #values: Record<string, unknown>;

  constructor(request: unknown) {
    if (typeof request !== 'object' || request === null || Array.isArray(request)) {
      throw wrongType('an object', 'request', request);
    }
    this.#values = { ...request };
  }

  has(name: string): boolean {
    return this.value(name) !== undefined;
  }

  value(name: string): unknown {
    return this.#values[name] ?? undefined;
  }

  /** A number of a range. */
  number(name: string, [least, most]: readonly [number, number]): number | undefined {
    const value = this.value(name);
    if (value === undefined) return undefined;
    if (typeof value !== 'number') throw ofParam(wrongType('a number', name, value), name);
    if (value >= least && value <= most) return value;
    throw ofParam(outOfRange(`a number from ${least} to ${most}`, name, value), name);
  }

  /** An integer of a range. */
  integer(name: string, [least, most]: readonly [number, number]): number | undefined {
    const value = this.value(name);
    if (value === undefined) return undefined;
    if (typeof value !== 'number') throw ofParam(wrongType('an integer', name, value), name);
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    const range = most === Infinity ? `from ${least}` : `from ${least} to ${most}`;
    throw ofParam(outOfRange(`an integer ${range}`, name, value), name);
  }

  boolean(name: string): boolean | undefined {
    const value = this.value(name);
    if (value === undefined || typeof value === 'boolean') return value;
    throw ofParam(wrongType('a boolean', name, value), name);
  }

  object(name: string): object | undefined {
    const value = this.value(name);
    if (value === undefined) return undefined;
    if (typeof value === 'object' && !Array.isArray(value)) return value as object;
    throw ofParam(wrongType('an object', name, value), name);
  }

  /** A string, or an array of strings of which none is empty. */
  strings(name: string, most: number): string[] {
    const value = this.value(name) ?? [];
    const list: unknown[] = typeof value === 'string' ? [value] : Array.isArray(value) ? Array.from(value) : [];
    if (typeof value !== 'string' && !Array.isArray(value)) {
      throw ofParam(wrongType('a string or an array of strings', name, value), name);
    }
    if (list.length > most) throw ofParam(wrongValue(`at most ${most} strings`, name, String(list.length)), name);
    for (const each of list) {
      if (typeof each !== 'string') throw ofParam(wrongType('strings', name, each), name);
      if (each === '') throw ofParam(wrongValue('strings that are not empty', name, describe(each)), name);
    }
    return list as string[];
  }
}

/**
 * The body of the answer to a request that failed, as OpenAI's API has it, for status 400 where its type is
 * 'invalid_request_error', else 500. So are a SyntaxError, which JSON.parse throws for a body, and an error with a
 * `statusCode` from 400 to 499, as frameworks throw them. What is no error of a request keeps its message to itself.
 *
 * @example
 * import { errorBody, fromRequest } from 'flash-softmax/adapters/openai';
 * try {
 *   fromRequest({ temperature: 3 });
 * } catch (error) {
 *   console.log(errorBody(error).error.type, errorBody(error).error.param); // → invalid_request_error temperature
 * }
 */
export function errorBody(error: unknown): OpenAIErrorBody {
  const { message, param, code, statusCode } = (error ?? {}) as Partial<Record<string, unknown>>;
  const isOfBody = error instanceof SyntaxError || (Number(statusCode) >= 400 && Number(statusCode) < 500);
  if ((typeof param !== 'string' && !isOfBody) || typeof message !== 'string') {
    return { error: { message: 'The server had an error', type: 'server_error', param: null, code: null } };
  }
  const name = typeof code === 'string' ? code : null;
  const ofField = typeof param === 'string' ? param : null;
  return { error: { message, type: 'invalid_request_error', param: ofField, code: name } };
}
