// Lines over time, each with its table: what cannot be seen can be read.
import { html, uPlot, useEffect, useRef, useState } from './vendor/bundle.js';
import { moment } from './format.js';

// Each line has a dash of its own besides its colour.
const DASHES = { primary: [], candidate: [8, 4], secondary: [2, 3] };

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** `rows`: `[{at, primary, candidate, …}]` by time; `lines`: names; `show(value)`: in words. */
export function Chart({ title, rows, lines, show, height = 160 }) {
  const place = useRef(null);
  const plot = useRef(null);
  const latest = useRef(rows);
  const [isRead, setRead] = useState(false); // nobody's table is not made: sixty rows for each chart, every few seconds
  latest.current = rows;
  useEffect(() => {
    const at = place.current;
    const draw = () => {
      plot.current?.destroy();
      plot.current = new uPlot(options(title, lines, show, at.clientWidth, height), columns(latest.current, lines), at);
    };
    draw();
    const resized = new ResizeObserver(() => plot.current?.setSize({ width: at.clientWidth, height }));
    resized.observe(at);
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    scheme.addEventListener('change', draw);
    return () => {
      scheme.removeEventListener('change', draw);
      resized.disconnect();
      plot.current.destroy();
      plot.current = null;
    };
  }, [title, lines.join(), height]);
  useEffect(() => {
    plot.current?.setData(columns(rows, lines));
  }, [rows]);
  return html`<figure class="chart">
    <figcaption>${title}<span class="legend">${lines.map((line) => html`<span class=${`key ${line}`}>${line}</span>`)}</span></figcaption>
    <div ref=${place} aria-hidden="true"></div>
    <details onToggle=${(event) => setRead(event.currentTarget.open)}><summary>as a table</summary>${isRead && html`<div class="scroll" tabindex="0" role="region" aria-label=${`${title}, table`}>
      <table><thead><tr><th scope="col">time</th>${lines.map((line) => html`<th scope="col" class="number">${line}</th>`)}</tr></thead>
      <tbody>${[...rows].reverse().slice(0, 60).map((row) => html`<tr key=${row.at}><th scope="row">${moment(row.at)}</th>${lines.map((line) => html`<td class="number">${row[line] === null || row[line] === undefined ? '–' : show(row[line])}</td>`)}</tr>`)}</tbody></table>
    </div>`}</details>
  </figure>`;
}

const columns = (rows, lines) => [rows.map((row) => row.at), ...lines.map((line) => rows.map((row) => row[line] ?? null))];

function options(title, lines, show, width, height) {
  const axis = { stroke: colour('muted'), grid: { stroke: colour('line'), width: 1 }, ticks: { stroke: colour('line') } };
  return {
    width,
    height,
    legend: { show: false },
    cursor: { y: false },
    scales: { y: { range: (_plot, least, most) => [0, most > 0 ? most * 1.1 : 1] } },
    axes: [
      { ...axis, values: (_plot, ticks) => ticks.map((at) => moment(at).replace(/:\d\d$/, '')) },
      { ...axis, size: 64, values: (_plot, ticks) => ticks.map((each) => show(each)) },
    ],
    series: [
      {},
      ...lines.map((line) => ({ label: line, stroke: colour(line), width: 2, dash: DASHES[line] ?? [], spanGaps: false, points: { show: false } })),
    ],
  };
}
