/** Writes GGUF files. */

type Value = string | number | readonly string[];

export interface GGUFTensor {
  readonly name: string;
  /** As ggml has them: the length of a row first. */
  readonly dims: readonly number[];
  readonly type: number;
  readonly bytes: Uint8Array;
}

const u32 = (n: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(n);
  return bytes;
};
const u64 = (n: number | bigint) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(n));
  return bytes;
};
const text = (value: string) => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);

function valueBytes(value: Value): Buffer {
  if (typeof value === 'string') return Buffer.concat([u32(8), text(value)]);
  if (typeof value === 'number') return Buffer.concat([u32(4), u32(value)]);
  return Buffer.concat([u32(9), u32(8), u64(value.length), ...value.map(text)]);
}

export function ggufFile(metadata: Readonly<Record<string, Value>>, tensors: readonly GGUFTensor[]): Uint8Array {
  const alignment = (metadata['general.alignment'] as number | undefined) ?? 32;
  const pad = (n: number) => Buffer.alloc((alignment - (n % alignment)) % alignment);
  const entries = Object.entries(metadata);
  const head: Buffer[] = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(entries.length)];
  for (const [key, value] of entries) head.push(text(key), valueBytes(value));
  const data: Uint8Array[] = [];
  let offset = 0;
  for (const { name, dims, type, bytes } of tensors) {
    head.push(text(name), u32(dims.length), ...dims.map(u64), u32(type), u64(offset));
    data.push(bytes, pad(bytes.length));
    offset += data.at(-1)!.length + data.at(-2)!.length;
  }
  const header = Buffer.concat(head);
  return new Uint8Array(Buffer.concat([header, pad(header.length), ...data]));
}
