// An ONNX model of one Softmax node over the last axis of a [rows, cols] float tensor, written byte by byte.
// A protobuf message is a list of (field number · 8 + wire type, value); numbers are from onnx.proto.

const varint = (number) => (number < 128 ? [number] : [(number % 128) | 128, ...varint(Math.floor(number / 128))]);
const integer = (field, value) => [...varint(field * 8), ...varint(value)];
const bytes = (field, content) => [...varint(field * 8 + 2), ...varint(content.length), ...content];
const text = (field, string) => bytes(field, Buffer.from(string));
const message = (field, ...fields) => bytes(field, fields.flat());

const FLOAT = 1;
const dimension = (name) => message(1, text(2, name)); // TensorShapeProto.dim { dim_param }
const tensor = (field, name) =>
  message(field, text(1, name), // ValueInfoProto { name, type { tensor_type { elem_type, shape } } }
    message(2, message(1, integer(1, FLOAT), message(2, dimension('rows'), dimension('cols')))));

export function softmaxModel() {
  return Uint8Array.from([
    integer(1, 8), // ir_version
    message(8, text(1, ''), integer(2, 13)), // opset_import: from version 13 on the default axis is the last
    message(7, // graph
      message(1, text(1, 'x'), text(2, 'y'), text(4, 'Softmax')), // node { input, output, op_type }
      text(2, 'softmax'),
      tensor(11, 'x'), // input
      tensor(12, 'y')), // output
  ].flat());
}
