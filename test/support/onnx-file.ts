/** Writes ONNX models. A protobuf message is a list of (field number · 8 + wire type, value). */

export const varint = (n: number): number[] => (n < 128 ? [n] : [(n % 128) | 128, ...varint(Math.floor(n / 128))]);
export const integer = (field: number, value: number): Buffer => Buffer.from([...varint(field * 8), ...varint(value)]);
export const bytes = (field: number, content: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from([...varint(field * 8 + 2), ...varint(content.length)]), content]);
export const text = (field: number, value: string): Buffer => bytes(field, Buffer.from(value));
/** A field of 32 bits. */
export const fixed32 = (field: number, content: Buffer): Buffer =>
  Buffer.concat([Buffer.from(varint(field * 8 + 5)), content]);
export const message = (field: number, ...fields: readonly Buffer[]): Buffer => bytes(field, Buffer.concat(fields));

export interface OnnxTensor {
  readonly name: string;
  readonly dims: readonly number[];
  readonly type: number;
  /** raw_data, or fields that stand in its place. */
  readonly raw: Uint8Array | readonly Buffer[];
}

export const externalData = (pairs: Readonly<Record<string, string>>): Buffer[] => [
  ...Object.entries(pairs).map(([key, value]) => message(13, text(1, key), text(2, value))),
  integer(14, 1),
];

const initializer = ({ name, dims, type, raw }: OnnxTensor) =>
  message(
    5,
    message(1, Buffer.from(dims.flatMap(varint))),
    integer(2, type),
    text(8, name),
    ...(raw instanceof Uint8Array ? [bytes(9, raw)] : raw),
  );

export interface OnnxNode {
  readonly type: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly domain?: string;
  /** Integers. */
  readonly attributes?: Readonly<Record<string, number>>;
  /** Other fields. */
  readonly more?: readonly Buffer[];
}

export const node = ({ type, inputs, outputs, domain = '', attributes = {}, more = [] }: OnnxNode): Buffer =>
  message(
    1,
    ...inputs.map((name) => text(1, name)),
    ...outputs.map((name) => text(2, name)),
    text(4, type),
    ...Object.entries(attributes).map(([name, value]) => message(5, text(1, name), integer(3, value), integer(20, 2))),
    text(7, domain),
    ...more,
  );

/** A value of the graph: its type's number, and dimensions, of which a name is free. */
export const valueInfo = (field: number, name: string, type: number, dims: readonly (number | string)[]): Buffer =>
  message(
    field,
    text(1, name),
    message(
      2,
      message(
        1,
        integer(1, type),
        message(2, ...dims.map((size) => message(1, typeof size === 'number' ? integer(1, size) : text(2, size)))),
      ),
    ),
  );

export interface OnnxGraph {
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxTensor[];
  readonly values?: readonly Buffer[];
}

export function onnxModel({ nodes, initializers, values = [] }: OnnxGraph): Uint8Array {
  return new Uint8Array(
    Buffer.concat([
      integer(1, 8), // ir_version
      message(8, text(1, ''), integer(2, 17)), // opset_import
      message(8, text(1, 'com.microsoft'), integer(2, 1)),
      message(7, ...nodes.map(node), text(2, 'model'), ...initializers.map(initializer), ...values),
    ]),
  );
}
