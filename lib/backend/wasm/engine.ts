/**
 * The parts of the interface WebAssembly that this package uses, as neither Node's types nor those of ECMAScript have
 * them; and the question whether the engine computes what kernels need.
 */
export type Module = object;

export interface Memory {
  readonly buffer: ArrayBufferLike;
  grow(pages: number): number;
}

export interface Exports {
  /** Says where arguments and reports stand. Returns nothing. */
  readonly enter: (frame: number) => number;
  readonly [kernel: string]: (...numbers: number[]) => number;
}

interface Engine {
  readonly Module: new (bytes: Uint8Array) => Module;
  readonly Instance: new (module: Module, imports?: object) => { readonly exports: unknown };
  readonly Memory: new (limits: { initial: number; maximum: number; shared?: boolean }) => Memory;
  validate(bytes: Uint8Array): boolean;
  compile(bytes: ArrayBufferView | ArrayBuffer): Promise<Module>;
  compileStreaming?(response: unknown): Promise<Module>;
}

/** Undefined where there is no WebAssembly, as under a strict Content-Security-Policy of old browsers. */
export const engine = (globalThis as { WebAssembly?: Engine }).WebAssembly;

/**
 * A module with two functions: single(x, y) = x · x + y in float, twofold(x, y) in double, by relaxed_madd in the last
 * lane. It was compiled from ten lines of C.
 */
const PROBE = [
  '0061736d01000000010d0260027d7d017d60027c7c017c03030200010405017001010105030100010608017f01418080040b',
  '071d03066d656d6f727902000673696e676c6500000774776f666f6c6400010a2f021601017b2000fd13220220022001fd13',
  'fd8502fd1f030b1601017b2000fd14220220022001fd14fd8702fd21010b',
].join('');

const bytesOf = (hex: string): Uint8Array => Uint8Array.from(hex.match(/../g)!, (pair) => parseInt(pair, 16));

/**
 * The reason why kernels cannot run here, as a clause; undefined where they can. They need relaxed SIMD whose multiply
 * and add rounds once, for floats and doubles: then they give the bits of the native kernels.
 */
export const obstacle: () => string | undefined = once(() => {
  if (engine === undefined) return 'there is no WebAssembly here';
  const bytes = bytesOf(PROBE);
  if (!engine.validate(bytes)) {
    const { process: node } = globalThis as { process?: { version?: string; release?: { name?: string } } };
    const isNode20 = node?.release?.name === 'node' && /^v2[01]\./.test(node.version ?? '');
    return `this engine has no relaxed SIMD${isNode20 ? ': Node 20 needs --experimental-wasm-relaxed-simd' : ''}`;
  }
  try {
    const probe = new engine.Instance(new engine.Module(bytes)).exports as Record<
      string,
      (x: number, y: number) => number
    >;
    // The squares need one bit more than a float or a double has, and that bit is all that is left of them.
    const isFused =
      probe.single!(1 + 2 ** -12, -1 - 2 ** -11) === 2 ** -24 &&
      probe.twofold!(1 + 2 ** -27, -1 - 2 ** -26) === 2 ** -54;
    return isFused ? undefined : 'relaxed_madd rounds twice in this engine or on this processor';
  } catch (error) {
    return `WebAssembly is not allowed here (${(error as Error).message})`;
  }
});

function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}
