/**
 * Makes the JavaScript kernels of an operator, one for each of its types in native/operators.def, from its kernels of
 * floats: halves are widened to float32, and results are rounded to halves.
 */
import type { BackendOf } from '../backend/backend.js';
import type { AnyOperator, KernelOf, Operator, OperatorOf, Positional, TypeOf } from '../backend/operators.js';
import { kindOf, lengthOf } from '../call/arrays.js';
import { floatsAt, narrow, widened } from './rows/half.js';

/** An operator's kernel for a type, or never where it has none. */
type KernelFor<O extends Operator, T> = T extends TypeOf<O> ? KernelOf<O, T> : never;

/** All kernels of an operator: `f64` may be the same function as `f32`. */
export function twinOf<O extends Operator>(
  operator: OperatorOf<O>,
  f32: KernelFor<O, 'f32'>,
  f64: KernelFor<O, 'f64'>,
): BackendOf<O> {
  const floats: Record<string, unknown> = { f32, f64 };
  const kernels: Record<string, unknown> = { name: 'js' };
  for (const type of operator.types) {
    kernels[`${operator.name}_${type}`] = floats[type] ?? halfKernel(operator, floats.f32 as Positional, type);
  }
  return kernels as BackendOf<O>;
}

/** The kernel of a half type from the kernel of float32. */
function halfKernel(operator: AnyOperator, f32: Positional, type: string): Positional {
  const { parameters, inputs, logits, results, inPlace } = operator;
  const isBfloat16 = type[0] === 'b';
  const names = [...logits, ...results];
  return (...args) => {
    const floats = [...args];
    let place = 0;
    const isHalf = (name: string, i: number): boolean => names.includes(name) && kindOf(args[i]) === 'Uint16Array';
    parameters.forEach((name, i) => {
      const array = args[i] as Uint16Array;
      if (!isHalf(name, i)) return;
      if (name === inPlace?.[0]) {
        floats[i] = floats[parameters.indexOf(inPlace[1])];
        return;
      }
      const own = floatsAt(place, lengthOf(array));
      place += own.length;
      floats[i] = inputs.includes(name) ? widened(array, isBfloat16, own) : own.fill(0);
    });
    // A kernel returns false if it has written nothing but why.
    if ((Reflect.apply(f32, undefined, floats) as unknown) === false) return;
    parameters.forEach((name, i) => {
      if (isHalf(name, i) && !inputs.includes(name))
        narrow(floats[i] as Float32Array, args[i] as Uint16Array, isBfloat16);
    });
  };
}
