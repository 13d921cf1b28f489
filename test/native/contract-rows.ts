/** The rows of the right calls that contract.test.ts breaks: [3, 5, 2], masked and with a bias. */
export const [outer, cols, inner] = [3, 5, 2];
export const elements = outer * cols * inner;
export const floats = (n: number) => new Float32Array(n).fill(0.5);
export const rows = {
  outer,
  cols,
  inner,
  temperature: 1,
  mask: new Uint8Array(elements).fill(1),
  maskLayout: 1,
  bias: floats(elements),
};
