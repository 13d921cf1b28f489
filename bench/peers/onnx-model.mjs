// ONNX models of one node, written byte by byte. A protobuf message is a list of (field number · 8 + wire type, value);
// the field numbers come from onnx.proto.

const varint = (number) => (number < 128 ? [number] : [(number % 128) | 128, ...varint(Math.floor(number / 128))]);
const integer = (field, value) => [...varint(field * 8), ...varint(value)];
const bytes = (field, content) => [...varint(field * 8 + 2), ...varint(content.length), ...content];
const text = (field, string) => bytes(field, Buffer.from(string));
const message = (field, ...fields) => bytes(field, fields.flat());

const FLOAT = 1;
const dimension = (name) => message(1, text(2, name)); // TensorShapeProto.dim { dim_param }
const tensor = (field, name) =>
  message(
    field,
    text(1, name), // ValueInfoProto { name, type { tensor_type { elem_type, shape } } }
    message(2, message(1, integer(1, FLOAT), message(2, dimension('rows'), dimension('cols')))),
  );

/** A model of one Softmax node over the last axis of a [rows, cols] float tensor. */
export function softmaxModel() {
  return Uint8Array.from(
    [
      integer(1, 8), // ir_version
      message(8, text(1, ''), integer(2, 13)), // opset_import: from version 13 on the default axis is the last
      message(
        7, // graph
        message(1, text(1, 'x'), text(2, 'y'), text(4, 'Softmax')), // node { input, output, op_type }
        text(2, 'softmax'),
        tensor(11, 'x'), // input
        tensor(12, 'y'),
      ), // output
    ].flat(),
  );
}

/**
 * A model of one operator of com.microsoft, or with `opset` of that version of ONNX itself. Attributes are integers;
 * inputs and outputs are [name, element type, dimensions].
 */
export function operatorModel(operator, attributes, inputs, outputs, opset = 13) {
  const domain = opset === 13 ? 'com.microsoft' : '';
  const value = (field, [name, type, dims]) =>
    message(
      field,
      text(1, name),
      message(2, message(1, integer(1, type), message(2, ...dims.map((size) => message(1, integer(1, size)))))),
    );
  return Uint8Array.from(
    [
      integer(1, opset < 23 ? 8 : 11),
      message(8, text(1, ''), integer(2, opset)),
      message(8, text(1, 'com.microsoft'), integer(2, 1)),
      message(
        7,
        message(
          1,
          ...inputs.map(([name]) => text(1, name)),
          ...outputs.map(([name]) => text(2, name)),
          text(4, operator),
          ...Object.entries(attributes).map(([name, number]) =>
            message(5, text(1, name), integer(3, number), integer(20, 2)),
          ),
          text(7, domain),
        ),
        text(2, 'operator'),
        ...inputs.map((each) => value(11, each)),
        ...outputs.map((each) => value(12, each)),
      ),
    ].flat(),
  );
}
