// What differs: causes by impact, then one of them with its example, both bodies, the evidence, and what settles it.
import { html, useMemo } from './vendor/bundle.js';
import { changes, post, useData } from './api.js';
import { count, duration, kind, percent, plural } from './format.js';
import { go, here, replace, route, to } from './route.js';
import { Action, Ago, Badge, Copy, Empty, Go, Loaded, Pager, Panel, Table, Time } from './ui.js';

const LIMIT = 50;

export const Differences = ({ service }) => (route.value.id ? html`<${One} key=${route.value.id} service=${service} id=${route.value.id} />` : html`<${Every} service=${service} />`);

function Every({ service }) {
  const { route: name, search, from } = route.value.query;
  const offset = Number(from ?? 0) || 0;
  const parameters = { service: service.name, route: name, search, limit: LIMIT, offset };
  const causes = useData('/api/v1/causes', parameters, 3000);
  const routes = useData('/api/v1/routes', { service: service.name }, 5000);
  const differing = (routes.data ?? []).filter((each) => each.differ || each.name === name).sort((a, b) => b.differ - a.differ);
  let waiting;
  const typed = (event) => {
    const text = event.target.value;
    clearTimeout(waiting);
    waiting = setTimeout(() => replace(here({ search: text, from: '' })), 250);
  };
  return html`<h1 tabindex="-1">Differences</h1>
    <form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
      <label>Search <input type="search" defaultValue=${search ?? ''} onInput=${typed} placeholder="field, route, words" /></label>
      <label>Route <select onChange=${(event) => go(here({ route: event.target.value, from: '' }))}>
        <option value="">all</option>${differing.map((each) => html`<option value=${each.name} selected=${each.name === name}>${each.name} (${count(each.differ)})</option>`)}
      </select></label>
      <${Reset} service=${service} />
    </form>
    <${Panel} id="causes" title="Causes, by impact">
      <${Loaded} of=${causes} every=${3000}>${(page) => page.items.length ? html`
        <${Table} caption="Causes" className="rows" head=${['what', 'route', 'fields', { name: 'pairs', number: true }, { name: 'share', number: true }, 'last']}>
          ${page.items.map((cause) => html`<tr key=${cause.id}>
            <th scope="row"><${Go} to=${to('differences', { service: route.value.query.service, route: name, search }, cause.id)}>${cause.words}<//></th>
            <td><code>${cause.route}</code></td><td>${fields(cause)}</td><td class="number">${count(cause.pairs)}</td><td class="number">${percent(cause.share, 2)}</td><td>${cause.last_at ? html`<${Ago} at=${cause.last_at} />` : '–'}</td></tr>`)}
        <//><${Pager} offset=${page.offset} limit=${page.limit} total=${page.total} to=${(at) => here({ from: at })} />` : html`<${Empty}>${search || name ? 'Nothing matches.' : 'Nothing differs that counts.'}<//>`}<//>
    <//>
    <${Accepted} service=${service} />`;
}

const Reset = ({ service }) => html`<${Action} small label="Begin the evidence anew" reason="required" explain="Of fields, latency and errors of this service. Counts stay, and what is known of noise." done="The evidence begins anew"
  act=${(values) => post('/api/v1/diffs/reset', { service: service.name, ...values })} />`;

function fields(cause) {
  if (cause.failure) return kind(cause.failure);
  const shown = cause.keys.slice(0, 3).map(([field]) => html`<code>${field}</code> `);
  const more = cause.keys.length - 3 + cause.left_out;
  return html`${shown}${more > 0 ? `and ${more} more` : ''}`;
}

function Accepted({ service }) {
  const report = useData('/api/v1/report', { service: service.name }, 5000);
  const found = report.data?.services[0]?.accepted ?? [];
  if (!found.length) return null;
  return html`<${Panel} id="accepted" title="Accepted"><${Table} caption="Accepted differences" head=${['what', 'state', 'owner', 'why', 'expires', { name: 'pairs', number: true }]}>
    ${found.map((each) => html`<tr key=${each.id}><th scope="row"><code>${each.route} ${each.field}</code> ${kind(each.kind)}</th><td><${Badge} state=${each.state === 'active' ? 'pass' : 'warn'}>${each.state}<//></td><td>${each.owner}</td><td>${each.reason}</td><td>${each.expires || 'never'}</td><td class="number">${count(each.pairs)}</td></tr>`)}<//><//>`;
}

function One({ service, id }) {
  const isCause = id.startsWith('c-');
  const found = useData(`/api/v1/${isCause ? 'causes' : 'diffs'}/${encodeURIComponent(id)}`, {}, isCause ? 5000 : 0);
  const { service: name, route: of, search } = route.value.query;
  return html`<p><${Go} to=${to('differences', { service: name, route: of, search })}>← all differences<//></p>
    <${Loaded} of=${found}>${(answer) => (isCause ? html`<${CausePage} service=${service} cause=${answer.cause} example=${answer.example} />` : html`<${ExamplePage} service=${service} example=${answer} />`)}<//>`;
}

function CausePage({ service, cause, example }) {
  return html`<h1 tabindex="-1">${cause.words}</h1>
    <${Panel} id="cause" title=${html`<code>${cause.route}</code> ${cause.failure ? kind(cause.failure) : `${cause.primary_status} → ${cause.shadow_status ?? 'no answer'}`}`} aside=${html`<code>${cause.id}</code>`}>
      <dl class="pairs">
        <dt>pairs</dt><dd>${count(cause.pairs)}, ${percent(cause.share, 2)} of those compared${cause.before ? `; ${count(cause.before)} before this start` : ''}</dd>
        <dt>seen</dt><dd>${cause.first_at ? html`<${Time} at=${cause.first_at} /> to <${Time} at=${cause.last_at} />` : '–'}</dd>
        <dt>differs in</dt><dd>${cause.failure ? kind(cause.failure) : html`<ul class="plain">${cause.keys.map(([field, how]) => html`<li><code>${field}</code> ${kind(how)}</li>`)}</ul>${cause.left_out ? `and ${cause.left_out} more` : ''}`}</dd>
      </dl>
      ${cause.suggestion && html`<h3>What would settle it</h3><pre>${cause.suggestion}</pre><${Copy} text=${cause.suggestion} what="lines" />`}
    <//>
    <${Settle} id=${cause.id} kind="cause" fields=${[...new Set(cause.keys.map(([field]) => field))]} failed=${Boolean(cause.failure)} />
    <${Evidence} service=${service} route=${cause.route} keys=${cause.keys} />
    ${example ? html`<${Example} example=${example} />` : html`<${Panel} id="example" title="Example"><${Empty}>No example of it is kept.<//><//>`}`;
}

const ExamplePage = ({ service, example }) => html`<h1 tabindex="-1">${example.method} ${example.target}</h1>
  ${example.cause && html`<p><${Go} to=${to('differences', { service: route.value.query.service }, example.cause)}>the cause that it belongs to<//></p>`}
  <${Settle} id=${example.id} kind="example" fields=${[...new Set(example.differences.map((each) => each.field))]} failed=${Boolean(example.failure)} />
  <${Evidence} service=${service} route=${example.route} keys=${example.differences.map((each) => [each.field, each.kind])} />
  <${Example} example=${example} />`;

/** Ignore, unordered, accept: each shows the lines that it writes before anything is written. */
function Settle({ id, kind: what, fields: every, failed }) {
  const rules = useData(failed ? null : '/api/v1/diffs/rules', { id });
  return html`<${Panel} id="settle" title="If it is meant">
    <div class="commands"><${Action} label="Accept …" title="Accept this difference" confirm="Accept" reason="required" explain="It is counted apart from then on, in the file of accepted differences, under your name and until it expires."
      fields=${[
        { name: 'owner', label: 'Owner', required: true, hint: 'Who answers for it: a team or a person.' },
        { name: 'field', label: 'Field', options: [{ value: '', label: 'all that differ' }, ...every] },
        { name: 'expires', label: 'Expires', value: '30d', hint: 'A date, a time or a duration; empty: never.' },
      ]}
      act=${async (values) => {
        const said = Object.fromEntries(Object.entries(values).filter(([, value]) => value));
        const answer = await post('/api/v1/diffs/accept', { [what]: id, ...said });
        changes.value++;
        return answer;
      }}
      done=${(answer) => `${plural(answer.entries.length, 'entry', 'entries')} written to ${answer.file}${answer.in_force ? '' : '; not in force yet'}`} /></div>
    ${rules.data && html`<div class="columns">${rules.data.map((rule) => html`<div key=${rule.name}>
      <h3>${{ ignore: 'Ignore the fields', unordered: 'Compare without order', tolerance: 'Tolerate' }[rule.name] ?? rule.name}</h3>
      <p class="muted">Lines for the configuration; a reload puts them in force.${rule.note ? ` ${rule.note}` : ''}</p>
      <pre>${rule.lines}</pre><${Copy} text=${rule.lines} what="lines" /></div>`)}</div>`}
  <//>`;
}

function Evidence({ service, route: name, keys }) {
  const report = useData('/api/v1/report', { service: service.name }, 5000);
  const mine = new Set(keys.map((each) => each.join(' ')));
  const found = (report.data?.services[0]?.routes.find((each) => each.name === name)?.evidence ?? []).filter((each) => mine.has(`${each.field} ${each.kind}`));
  if (!found.length) return null;
  const words = { regressed: ['fail', 'regressed'], noise: ['pass', 'noise'], open: ['inconclusive', 'not enough to say'], differs: ['warn', 'differs'] };
  return html`<${Panel} id="evidence" title="Noise and evidence"><${Table} caption="Evidence" head=${['field', 'is', { name: 'candidate alone', number: true }, { name: 'primary again alone', number: true }, { name: 'both', number: true }, 'evidence', 'still needed']}>
    ${found.map((each) => html`<tr key=${`${each.field} ${each.kind}`}><th scope="row"><code>${each.field}</code> ${kind(each.kind)}</th><td><${Badge} state=${words[each.state][0]}>${words[each.state][1]}<//></td>
      <td class="number">${count(each.candidate_only)}</td><td class="number">${count(each.second_only)}</td><td class="number">${count(each.both)}</td>
      <td>${each.needed ? (each.evidence >= each.needed ? 'all that it takes' : `${percent(Math.max(0, each.evidence / each.needed), 0)} of what it takes`) : '–'}</td><td>${each.more ? plural(each.more, 'pair') : '–'}</td></tr>`)}<//><//>`;
}

function Example({ example }) {
  const sides = useData(`/api/v1/diffs/${encodeURIComponent(example.id)}/bodies`);
  return html`<${Panel} id="example" title="Example" aside=${html`<code>${example.id}</code>`}>
    <p><code>${example.method} ${example.target}</code> <span class="muted"><${Time} at=${example.at} /></span></p>
    <${Table} caption="Answers" head=${['', 'status', { name: 'took', number: true }]}>
      <tr><th scope="row"><span class="key primary">primary</span></th><td>${example.primary_status}</td><td class="number">${duration(example.primary_seconds)}</td></tr>
      <tr><th scope="row"><span class=${`key ${example.arm}`}>${example.arm}</span></th><td>${example.shadow_status ?? kind(example.failure ?? 'no answer')}</td><td class="number">${duration(example.shadow_seconds)}</td></tr>
    <//>
    ${example.differences.length > 0 && html`<${Table} caption="Fields that differ" head=${['field', 'how', 'primary', example.arm, '']}>
      ${example.differences.map((each) => html`<tr><th scope="row"><code>${each.field}</code></th><td>${kind(each.kind)}</td><td><code>${each.primary ?? 'absent'}</code></td><td><code>${each.shadow ?? 'absent'}</code></td>
        <td>${each.by_rule ? 'ignored by a rule' : each.noise ? 'noise' : each.accepted ? 'accepted' : html`<b>counts</b>`}</td></tr>`)}<//>`}
    ${example.explanation.length > 0 && html`<ul>${example.explanation.map((each) => html`<li>${each}</li>`)}</ul>`}
    <h3>Bodies side by side</h3>
    <${Loaded} of=${sides}>${(rows) => html`<${Bodies} rows=${rows} arm=${example.arm} />`}<//>
    <details><summary>Header fields</summary><div class="columns"><${Fields} name="request" fields=${example.request_fields} /><${Fields} name="primary" fields=${example.primary_fields} /><${Fields} name=${example.arm} fields=${example.shadow_fields} /></div></details>
    ${example.request_body && html`<details><summary>Request body</summary><pre>${example.request_body}</pre></details>`}
    <h3>Ask again</h3><pre class="wrap">${example.curl}</pre><${Copy} text=${example.curl} what="command" />
  <//>`;
}

const Fields = ({ name, fields: every }) => html`<div><h4>${name}</h4><pre class="wrap">${every.map(([field, value]) => `${field}: ${value}`).join('\n')}</pre></div>`;

const MARKS = { '|': 'changed', '<': 'only in the primary', '>': 'only here' };
const part = (line, mark) => mark ? html`${line.before}<mark>${line.changed}</mark>${line.after}` : line.before;

function Bodies({ rows, arm }) {
  const shown = useMemo(() => rows.slice(0, 2000), [rows]);
  if (!rows.length) return html`<${Empty}>The bodies have the same lines.<//>`;
  return html`<div class="scroll bodies" tabindex="0" role="region" aria-label="Bodies side by side"><table><caption class="hidden">Bodies side by side</caption>
    <thead><tr><th scope="col">primary</th><th scope="col"><span class="hidden">mark</span></th><th scope="col">${arm}</th></tr></thead>
    <tbody>${shown.map((row, index) => html`<tr key=${index} class=${row.mark.trim() ? 'differs' : ''}><td>${part(row.primary, row.mark.trim())}</td><td class="mark" title=${MARKS[row.mark] ?? ''}>${row.mark}</td><td>${part(row.shadow, row.mark.trim())}</td></tr>`)}</tbody></table></div>
    ${rows.length > shown.length && html`<p class="muted">${plural(rows.length - shown.length, 'more row')}.</p>`}`;
}
