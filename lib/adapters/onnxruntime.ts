/** flash-softmax/adapters/onnxruntime: tensors of onnxruntime as arrays with options, and back. */
export {
  fromTensor,
  lastLogits,
  type LastLogits,
  type TensorArray,
  type TensorData,
  type TensorLike,
} from './onnxruntime/from-tensor.js';
export {
  toTensor,
  type TensorMaker,
  type TensorSource,
  type TensorType,
  type ToTensorOptions,
} from './onnxruntime/to-tensor.js';
