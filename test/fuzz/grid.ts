/** Shapes of calls whose rows run over several axes. */
import type { Draw } from './draw.js';

/** A shape of several axes of each kind in any order, and where the elements of its rows lie, by the definition. */
export function gridOf(draw: Draw, rows: number, cols: number) {
  const factors = (n: number, isRow: boolean) => {
    const sizes: number[] = draw.chance(0.2) ? [1] : [];
    let rest = n;
    for (const d of [2, 3, 5, 2]) {
      if (rest <= d || rest % d !== 0 || draw.chance(0.3)) continue;
      sizes.push(d);
      rest /= d;
    }
    return [...sizes, rest].map((size) => ({ size, isRow, order: draw.uniform() }));
  };
  const axes = [...factors(rows, false), ...factors(cols, true)].sort((a, b) => a.order - b.order);
  const shape = axes.map(({ size }) => size);
  const offsets = (isRow: boolean): number[] =>
    axes.reduce(
      (all, axis, at) => {
        const step = shape.slice(at + 1).reduce((product, size) => product * size, 1);
        if (axis.isRow !== isRow) return all;
        return all.flatMap((offset) => Array.from({ length: axis.size }, (_, i) => offset + i * step));
      },
      [0],
    );
  const [starts, steps] = [offsets(false), offsets(true)];
  const places = Int32Array.from({ length: rows * cols }, (_, i) => starts[Math.floor(i / cols)]! + steps[i % cols]!);
  const columns = new Int32Array(rows * cols);
  places.forEach((place, i) => (columns[place] = i % cols));
  const indices = shape.flatMap((_, i) => (axes[i]!.isRow ? [draw.chance(0.5) ? i : i - shape.length] : []));
  return { options: { shape, axis: draw.chance(0.5) ? indices : indices.reverse() }, places, columns };
}
