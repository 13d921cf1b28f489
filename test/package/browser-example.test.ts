/** examples/browser in headless Chromium: the numbers are those of this package in Node. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { logSumExp } from '../../lib/index.js';
import { filterLogits, sampleMany } from '../../lib/sampling.js';
import { root } from '../support/emulated.js';
import { run } from '../support/run.js';
import { itWith, tool } from '../support/tools.js';

const chromium = tool(
  'chromium',
  ['chromium', '--version'],
  ['chromium-browser', '--version'],
  ['google-chrome', '--version'],
);
const TYPES: Record<string, string> = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript' };
const profile = mkdtempSync(path.join(tmpdir(), 'flash-softmax-browser-'));
let server: Server;
let url = '';

beforeAll(async () => {
  server = createServer((request, response) => {
    const file = path.join(root, path.normalize(new URL(request.url!, 'http://x').pathname));
    const type = TYPES[path.extname(file)];
    if (type === undefined || !existsSync(file)) return void response.writeHead(404).end();
    response.writeHead(200, { 'content-type': type }).end(readFileSync(file));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/examples/browser/index.html`;
});
afterAll(() => {
  server.close();
  rmSync(profile, { recursive: true, force: true });
});

itWith(
  [chromium],
  'the page shows probabilities, draws, and a long sum',
  async () => {
    expect(existsSync(path.join(root, 'dist/portable/index.js')), 'dist/ is there (npm run compile)').toBe(true);
    const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'];
    const more = [`--user-data-dir=${profile}`, '--virtual-time-budget=20000', '--dump-dom', url];
    const page = await run(chromium.path, [...flags, ...more]);
    expect(page).toContain('<title>ready</title>');

    const logits = Float32Array.of(4, 3.4, 1.2, 2.5, 2.2, 0.3, 1, 1.6);
    const { probabilities } = filterLogits(logits, { temperature: 1, topP: 1 });
    const shown = [...page.matchAll(/<li>(\w+)<div[^>]*><\/div>([\d.]+) %<\/li>/g)].map(([, , percent]) => percent);
    expect(shown).toEqual(Array.from(probabilities, (p) => (100 * p).toFixed(1)));

    const tokens = sampleMany(logits, 10_000, { temperature: 1, topP: 1, seed: 1 });
    const counts = Array.from(logits, (_, i) => tokens.reduce((sum, token) => sum + Number(token === i), 0));
    const drawn = /<span id="drawn">([^<]*)</.exec(page)![1]!;
    expect(drawn.match(/\d+/g)!.map(Number)).toEqual(counts);

    const [sum] = logSumExp(Float32Array.from({ length: 1_000_000 }, (_, i) => Math.sin(i)));
    expect(page).toMatch(/backend js; logSumExp of a million: /);
    expect(Number(/million: ([\d.]+)/.exec(page)![1])).toBeCloseTo(sum!, 7);
  },
  120_000,
);
