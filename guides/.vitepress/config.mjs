// The documentation site: the guides, and the reference that typedoc makes of docstrings. Dead links fail the build.
import { existsSync, readFileSync } from 'node:fs';
import { defineConfig } from 'vitepress';

const REPOSITORY = 'https://github.com/flash-softmax/flash-softmax';

/** What typedoc wrote; absent where the guides are looked at alone. */
const sidebarFile = new URL('../reference/typedoc-sidebar.json', import.meta.url);
const reference = existsSync(sidebarFile) ? JSON.parse(readFileSync(sidebarFile, 'utf8')) : [];

const pages = (titles) => Object.entries(titles).map(([link, text]) => ({ text, link: `/${link}` }));

/** Links out of guides/, to files of the repository, lead to where these are read. */
function linkToRepository(md) {
  md.core.ruler.push('repository-links', ({ tokens }) => {
    for (const token of tokens.flatMap(({ children }) => children ?? [])) {
      const href = token.attrGet('href');
      if (href?.startsWith('../')) token.attrSet('href', `${REPOSITORY}/blob/main/${href.slice(3)}`);
    }
  });
}

export default defineConfig({
  title: 'flash-softmax',
  description:
    'Softmax, sampling, attention and losses for JavaScript on a CPU: fast, exact, the same bits everywhere.',
  base: process.env.SITE_BASE ?? '/flash-softmax/',
  outDir: '../docs',
  cleanUrls: true,
  lastUpdated: false,
  markdown: { config: linkToRepository },
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    socialLinks: [{ icon: 'github', link: REPOSITORY }],
    nav: [
      { text: 'Guides', link: '/softmax' },
      { text: 'Reference', link: '/reference/' },
      { text: 'Benchmarks', link: '/benchmarks' },
      { text: 'FAQ', link: '/faq' },
    ],
    sidebar: [
      {
        text: 'Tasks',
        items: pages({
          softmax: 'Softmax of rows and axes',
          'serve-a-language-model': 'Serve a language model',
          adapters: 'With transformers.js, onnxruntime, OpenAI clients',
          detection: 'Detect objects',
          losses: 'Train a classifier',
          'partial-softmax': 'Shard: partial sums',
          'scale-out': 'Many machines',
          'event-loop': 'Keep the event loop free',
        }),
      },
      {
        text: 'Operators',
        items: pages({
          sampling: 'Sampling',
          sampler: 'Sampler: penalties and state',
          head: 'The head: hidden states to tokens',
          attention: 'Attention and the KV cache',
          'attention-training': 'Gradients of attention',
          'linear-attention': 'Linear attention',
          'attention-without-softmax': 'Attention without softmax',
          routing: 'Routing: mixtures of experts',
          ood: 'Out of distribution',
          recipes: 'Recipes from papers',
        }),
      },
      {
        text: 'Run',
        items: pages({
          platforms: 'Platforms',
          'runtimes-and-bundlers': 'Runtimes, bundlers, browsers',
          webassembly: 'WebAssembly',
          'command-line': 'The command line',
          configuration: 'Configuration',
          versions: 'Versions',
        }),
      },
      {
        text: 'Know',
        items: pages({
          accuracy: 'Accuracy and bits',
          testing: 'What is tested',
          benchmarks: 'Benchmarks',
          migrate: 'Coming from other libraries',
          'option-names': 'Names of options elsewhere',
          faq: 'Questions',
        }),
      },
      ...(reference.length > 0 ? [{ text: 'Reference', collapsed: true, items: reference }] : []),
    ],
    footer: { message: 'MIT licence' },
  },
});
