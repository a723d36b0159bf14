// Makes the vendored files anew: npm ci && npm run build (or `make vendor`).
import { build } from 'esbuild';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';

const to = new URL('../../shadowproxy/admin/web/vendor/', import.meta.url).pathname;
const of = (name) => JSON.parse(readFileSync(`node_modules/${name}/package.json`, 'utf8'));
const names = ['preact', 'htm', '@preact/signals', '@preact/signals-core', 'uplot'];

await build({
  entryPoints: ['entry.mjs'],
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  legalComments: 'none',
  banner: { js: `/* ${names.map((name) => `${name} ${of(name).version} (${of(name).license})`).join(', ')}; see LICENSES.txt */` },
  outfile: `${to}bundle.js`,
});
copyFileSync('node_modules/uplot/dist/uPlot.min.css', `${to}uplot.css`);

const licence = (name) => {
  for (const file of ['LICENSE', 'LICENSE.md', 'LICENSE.txt']) {
    try {
      return readFileSync(`node_modules/${name}/${file}`, 'utf8').trim();
    } catch {}
  }
  throw new Error(`${name} has no licence file`);
};
writeFileSync(
  `${to}LICENSES.txt`,
  names
    .map((name) => `${name} ${of(name).version} (${of(name).license})\n${of(name).homepage ?? ''}\n\n${licence(name)}\n`)
    .join(`\n${'-'.repeat(78)}\n\n`),
);
