// The plan as a timeline, the checks with what they know and still need, the arms side by side, and what was decided.
import { html, useMemo } from './vendor/bundle.js';
import { now, useData } from './api.js';
import { Chart } from './charts.js';
import { Commands, Watch } from './commands.js';
import { count, duration, kind, percent, plural, until } from './format.js';
import { Bake, Holds } from './overview.js';
import { here, route, to } from './route.js';
import { Badge, Empty, Go, Loaded, Pager, Panel, Since, Table, Time, Words } from './ui.js';

export function Rollout({ service, rollout }) {
  if (!service.rollout) return html`<h1 tabindex="-1">Rollout</h1><${Empty}>There is no <code>rollout</code> in the configuration of ${service.name}.<//><${Arms} service=${service} />`;
  return html`<${Loaded} of=${rollout} every=${2000}>${(found) => html`<${Whole} service=${service} rollout=${found} />`}<//>`;
}

function Whole({ service, rollout }) {
  const explain = useData('/api/v1/rollout/explain', { service: service.name }, 2000);
  return html`<h1 tabindex="-1">${rollout.name} <span class="muted">attempt ${rollout.attempt}</span></h1>
    <${Panel} id="why" title=${html`<${Badge} state=${rollout.phase} /> ${percent(rollout.weight)} to the candidate`} aside=${rollout.started_at ? html`for <${Since} at=${rollout.started_at} />` : ''}>
      ${(explain.data?.sentences ?? [rollout.why]).map((each, index) => html`<p class=${index ? '' : 'why'}><${Words} of=${each} /></p>`)}
      <${Holds} rollout=${rollout} />
      <${Commands} rollout=${rollout} /><${Watch} rollout=${rollout} />
      <dl class="pairs">
        <dt>versions</dt><dd>${Object.entries(rollout.identity).map(([arm, version]) => html`<span class=${`key ${arm}`}>${arm}</span> <code>${version}</code> `)}${Object.keys(rollout.identity).length ? '' : 'not known'}</dd>
        <dt>strategy</dt><dd>${rollout.strategy || 'stages of its own'}; changes of class ${rollout.change_class}</dd>
        ${rollout.pending_plan && html`<dt>plan</dt><dd>the configuration has another one; the next attempt takes it</dd>`}
        ${rollout.override_until && html`<dt>override</dt><dd>freezes do not hold it until <${Time} at=${rollout.override_until} /></dd>`}
        ${rollout.fault && html`<dt>fault</dt><dd>${rollout.fault}</dd>`}
      </dl>
    <//>
    <${Panel} id="plan" title="Plan" aside=${rollout.finish_at ? html`over <${Time} at=${rollout.finish_at} /> at the earliest` : rollout.finish_why}><${Timeline} rollout=${rollout} /><//>
    <${Panel} id="checks" title="Checks"><${Checks} rollout=${rollout} /><//>
    <${Arms} service=${service} />
    <${History} service=${service} />
    ${rollout.earlier.length > 0 && html`<${Panel} id="earlier" title="Earlier attempts"><${Table} caption="Earlier attempts" head=${['attempt', 'ended as', 'when', 'why']}>
      ${[...rollout.earlier].reverse().map((each) => html`<tr key=${each.number}><th scope="row">${each.number}</th><td><${Badge} state=${each.phase} /></td><td><${Time} at=${each.ended_at} /></td><td>${each.why}</td></tr>`)}<//><//>`}`;
}

const Timeline = ({ rollout }) => html`<ol class="timeline">${rollout.steps.map(
  (step, index) => html`<li key=${index} class=${step.state} aria-current=${step.state === 'now' ? 'step' : undefined}>
    <div class="mark"><${Badge} state=${step.state}>${step.state}<//></div>
    <div class="what"><b>${step.stage || kind(step.kind)}</b> <span class="muted">${kind(step.kind)}</span>
      <div>${said(step)}</div>
      ${step.state === 'now' && rollout.bake && html`<${Bake} bake=${rollout.bake} />`}
    </div>
    <div class="when">${step.ends_at && step.kind !== 'approve' && ['now', 'coming'].includes(step.state) ? html`over ${until(step.ends_at, now.value / 1000)}<br /><small><${Time} at=${step.ends_at} /></small>` : ''}</div>
  </li>`,
)}</ol>`;

function said(step) {
  const parts = [];
  if (step.flag) parts.push(`${percent(step.flag.share)} have ${step.flag.flag}=${step.flag.variant}`);
  if (step.weight) parts.push(`${percent(step.weight)} of the users`);
  if (step.chosen) parts.push('chosen users');
  if (!parts.length) parts.push(step.kind === 'approve' ? 'a person approves' : 'all users with the primary');
  const bake = [step.bake_seconds && `for ${duration(step.bake_seconds)}`, step.bake_requests && `${count(step.bake_requests)} requests`].filter(Boolean);
  return parts.join(', ') + (bake.length ? `; at least ${bake.join(' and ')}` : '');
}

/** How sure a check is of harm, of what it takes to send users back. */
const Evidence = ({ check }) => check.needed > 0 ? html`<meter min="0" max="1" high="0.7" optimum="0" value=${Math.max(0, Math.min(1, check.log_e / check.needed))} aria-label=${`evidence of harm of ${check.name}`}></meter>
  <small>${check.log_e >= check.needed ? 'all that it takes' : `${percent(Math.max(0, check.log_e / check.needed), 0)} of what it takes`}</small>` : '–';

const value = (check, of) => {
  const found = check[of];
  if (found === null || found === undefined) return '–';
  if (/latency/.test(check.kind)) return duration(found);
  if (/rate|ratio|fields/.test(check.kind) && found <= 1) return percent(found, 2);
  return found.toLocaleString('en', { maximumFractionDigits: 3 });
};

const missing = (check) => [check.more_requests && `${count(check.more_requests)} requests`, check.more_seconds && duration(check.more_seconds)].filter(Boolean).join(', ') || '–';

const Checks = ({ rollout }) => rollout.checks.length === 0 ? html`<${Empty}>No check has said anything yet.<//>` : html`<${Table} caption="Checks" className="checks" head=${['check', 'says', { name: 'primary', number: true }, { name: 'candidate', number: true }, 'evidence of harm', 'still needed', 'why']}>
  ${rollout.checks.map((check) => html`<tr key=${check.name}><th scope="row">${check.name}${check.mode === 'enforce' ? '' : html` <small class="muted">${check.mode}</small>`}</th>
    <td><${Badge} state=${check.verdict} /></td><td class="number">${value(check, 'primary')}</td><td class="number">${value(check, 'candidate')}</td>
    <td><${Evidence} check=${check} /></td><td>${missing(check)}</td><td>${check.words}${check.not_worse ? ' Shown not to be worse.' : ''}</td></tr>`)}<//>`;

const SPANS = { '10m': 'ten minutes', '1h': 'an hour', '24h': 'a day' };
const CHARTS = [
  ['rate', 'requests a second', (each) => each.toLocaleString('en', { maximumFractionDigits: 1 })],
  ['errors', 'errors (5xx or no answer)', (each) => percent(each, 2)],
  ['p50', 'latency, half are faster', duration],
  ['p99', 'latency, 99 of 100 are faster', duration],
];

function Arms({ service }) {
  const span = SPANS[route.value.query.span] ? route.value.query.span : '10m';
  const found = useData('/api/v1/series', { service: service.name, span }, 5000);
  return html`<${Panel} id="arms" title="Side by side" aside=${html`last ${Object.keys(SPANS).map((each) => html` <${Go} to=${here({ span: each })} aria-current=${each === span ? 'true' : undefined}>${SPANS[each]}<//>`)}`}>
    <${Loaded} of=${found} every=${5000}>${(series) => html`<${Charts} series=${series} />`}<//>
  <//>`;
}

function Charts({ series }) {
  const lines = Object.keys(series.arms);
  const charts = useMemo(() => CHARTS.map(([name, title, show]) => [title, show, series.at.map((at, index) => ({ at, ...Object.fromEntries(lines.map((line) => [line, series.arms[line][name][index]])) }))]), [series]);
  if (series.at.length < 2) return html`<${Empty}>The first points come after ten seconds.<//>`;
  return html`<div class="charts">${charts.map(([title, show, rows]) => html`<${Chart} key=${title} title=${title} rows=${rows} lines=${lines} show=${show} />`)}
    <${Chart} title="users with the candidate" rows=${series.at.map((at, index) => ({ at, candidate: series.weight[index] }))} lines=${['candidate']} show=${(each) => percent(each, 0)} /></div>`;
}

function History({ service }) {
  const offset = Number(route.value.query.from ?? 0) || 0;
  const found = useData('/api/v1/rollout/history', { service: service.name, limit: 20, offset }, 5000);
  return html`<${Panel} id="history" title="What was decided" aside=${html`<${Go} to=${to('audit', { service: route.value.query.service })}>the whole audit<//>`}>
    <${Loaded} of=${found} every=${5000}>${(page) => html`
      <p>${page.problems.length ? html`<${Badge} state="fail">the audit was changed<//> ${page.problems.join('; ')}` : html`<${Badge} state="pass">the chain holds<//> ${plural(page.total, 'entry', 'entries')}`}</p>
      ${page.items.length ? html`<${Table} caption="What was decided" head=${['when', 'what', 'by', 'why']}>${page.items.map((each) => html`<tr key=${each.number}><td><${Time} at=${each.at} /></td><td>${kind(each.action)}</td><td>${each.by}</td><td>${each.why}</td></tr>`)}<//>` : html`<${Empty}>Nothing yet.<//>`}
      <${Pager} offset=${page.offset} limit=${page.limit} total=${page.total} to=${(from) => here({ from })} />`}<//>
  <//>`;
}
