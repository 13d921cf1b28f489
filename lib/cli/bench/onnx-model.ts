/** An ONNX model of one operator, written byte by byte; the numbers of its fields come from onnx.proto. */

// A protobuf message is a list of (field number · 8 + wire type, value).
const varint = (n: number): number[] => (n < 128 ? [n] : [(n % 128) | 128, ...varint(Math.floor(n / 128))]);
const integer = (field: number, value: number): number[] => [...varint(field * 8), ...varint(value)];
const bytes = (field: number, content: Iterable<number>): number[] => {
  const all = [...content];
  return [...varint(field * 8 + 2), ...varint(all.length), ...all];
};
const text = (field: number, value: string): number[] => bytes(field, Buffer.from(value));
const message = (field: number, fields: readonly number[][]): number[] => bytes(field, fields.flat());

const FLOAT = 1;
const OPSET = 13; // from here on the default axis is the last one

/** ValueInfoProto { name, type { tensor_type { elem_type, shape { dim { dim_param } } } } }. */
function matrix(field: number, name: string): number[] {
  const dims = ['rows', 'cols'].map((axis) => message(1, [text(2, axis)]));
  const type = message(1, [integer(1, FLOAT), message(2, dims)]);
  return message(field, [text(1, name), message(2, [type])]);
}

/** y = operator(x), by rows of a [rows, cols] tensor of floats. */
export function rowModel(operator: string): Uint8Array {
  const node = message(1, [text(1, 'x'), text(2, 'y'), text(4, operator)]);
  const graph = message(7, [node, text(2, 'rows'), matrix(11, 'x'), matrix(12, 'y')]);
  const opset = message(8, [text(1, ''), integer(2, OPSET)]);
  return Uint8Array.from([integer(1, 8), opset, graph].flat());
}
