// Feature flags: what each gives and to whom, its split over evaluations, its history, and changing it.
import { html } from './vendor/bundle.js';
import { changes, post, useData } from './api.js';
import { count, kind, percent, plural } from './format.js';
import { here, replace, route, to } from './route.js';
import { Action, Badge, Empty, Go, Loaded, Pager, Panel, Table, Time } from './ui.js';

export const Flags = ({ service }) => (route.value.id ? html`<${One} key=${route.value.id} name=${route.value.id} />` : html`<${Every} service=${service} />`);

const change = (action, body) => async (values) => {
  const said = Object.fromEntries(Object.entries({ ...body, ...values }).filter(([, value]) => value !== ''));
  if (said.override !== undefined) said.override = said.override === 'true';
  if (said.default !== undefined) said.default = said.default === 'true';
  if (said.definition !== undefined) said.definition = JSON.parse(said.definition);
  if (said.to !== undefined) said.to = Number(said.to);
  const answer = await post(`/api/v1/flags/${action}`, said);
  changes.value++;
  return answer;
};

const done = (answer) => `Version ${answer.version} is in force${answer.in_force ? ' in every worker' : ', not in every worker yet'}`;

const OVERRIDE = { name: 'override', label: 'Freezes', options: [{ value: 'false', label: 'are kept' }, { value: 'true', label: 'are overridden, where they permit it' }] };

function Every({ service }) {
  const found = useData('/api/v1/flags', {}, 4000);
  const { search = '' } = route.value.query;
  if (found.problem?.status === 404) return html`<h1 tabindex="-1">Flags</h1><${Empty}>There is no <code>flags</code> section in the configuration.<//>`;
  return html`<h1 tabindex="-1">Flags</h1><${Loaded} of=${found} every=${4000}>${(list) => {
    const shown = list.items.filter((flag) => flag.key.toLowerCase().includes(search.toLowerCase()));
    return html`
      ${list.problems.length > 0 && html`<div class="notice fail"><b>The file cannot be used as it is;</b> what it said before is in force.<ul>${list.problems.map((each) => html`<li><code>${each}</code></li>`)}</ul></div>`}
      ${list.warnings.length > 0 && html`<details class="notice warn"><summary>${plural(list.warnings.length, 'warning')}</summary><ul>${list.warnings.map((each) => html`<li>${each}</li>`)}</ul></details>`}
      <form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
        <label>Search <input type="search" defaultValue=${search} onInput=${(event) => replace(here({ search: event.target.value }))} /></label>
        <${Define} />
      </form>
      <${Panel} id="flags" title="Flags" aside=${html`version ${list.version} of <code>${list.file}</code>, ${list.in_force ? 'in every worker' : 'not in every worker yet'}`}>
        ${shown.length ? html`<${Table} caption="Flags" className="rows" head=${['flag', 'gives', 'from the rollout', { name: 'evaluations', number: true }, 'from', '']}>
          ${shown.slice(0, 500).map((flag) => html`<tr key=${flag.key}>
            <th scope="row"><${Go} to=${to('flags', { service: route.value.query.service }, flag.key)}><code>${flag.key}</code><//></th>
            <td>${gives(flag)}${flag.held ? html` <${Badge} state="held">an edit waits: ${flag.held}<//>` : ''}</td>
            <td>${flag.overlays.map((each) => `${each.variant} to ${percent(each.share)} (${each.service})`).join(', ') || '–'}</td>
            <td class="number">${count(flag.evaluations)}</td><td>${flag.source === 'api' ? 'here' : 'the file'}${flag.in_header ? '' : ', not on requests'}</td>
            <td><${Kill} flag=${flag} /></td></tr>`)}<//>${shown.length > 500 ? html`<p class="muted">${plural(shown.length - 500, 'more flag')}: search for them.</p>` : ''}` : html`<${Empty}>${search ? 'Nothing matches.' : 'There are no flags.'}<//>`}
      <//><${History} />`;
  }}<//>`;
}

function gives(flag) {
  const rest = flag.default ?? "the caller's default";
  if (flag.state === 'DISABLED') return html`<${Badge} state="stopped">disabled<//> the caller's default`;
  if (flag.killed) return html`<${Badge} state="fail">killed<//> ${rest} for everybody`;
  if (flag.ramp) return `${flag.ramp.variant} for ${percent(flag.ramp.share)}, else ${rest}`;
  return flag.targeting ? `by targeting, else ${rest}` : `${rest} for everybody`;
}

const Kill = ({ flag }) => flag.killed ? null : html`<${Action} danger small label="Kill" title=${`Kill ${flag.key}`} confirm="Kill now" explain="Everybody gets the off variant, whatever the file and rollouts say, until somebody lifts it." act=${change('kill', { flag: flag.key })} done=${done} />`;

const Define = () => html`<${Action} small label="Define a flag …" title="Define a flag" confirm="Define" fields=${[{ name: 'flag', label: 'Key', required: true }, { name: 'definition', label: 'Definition', type: 'area', value: JSON.stringify({ state: 'ENABLED', variants: { on: true, off: false }, defaultVariant: 'off' }, null, 2) }, OVERRIDE]} act=${change('set', {})} done=${done} />`;

function One({ name }) {
  const found = useData(`/api/v1/flags/${encodeURIComponent(name)}`, {}, 4000);
  return html`<p><${Go} to=${to('flags', { service: route.value.query.service })}>← all flags<//></p><h1 tabindex="-1"><code>${name}</code></h1>
    <${Loaded} of=${found} every=${4000}>${(detail) => html`<${Detail} detail=${detail} />`}<//><${History} flag=${name} />`;
}

function Detail({ detail }) {
  const { flag } = detail;
  const options = flag.variants;
  const of = { flag: flag.key, version: detail.version };
  return html`<${Panel} id="flag" title=${gives(flag)} aside=${`version ${detail.version}`}>
      <div class="commands">
        <${Action} label="Set …" title=${`Set ${flag.key}`} confirm="Set" fields=${[{ name: 'variant', label: 'Variant', options }, { name: 'default', label: 'For', options: [{ value: 'false', label: 'everybody' }, { value: 'true', label: 'those whom targeting gives none' }] }, OVERRIDE]} act=${change('set', of)} done=${done} />
        <${Action} label="Ramp …" title=${`Ramp ${flag.key}`} confirm="Ramp" fields=${[{ name: 'variant', label: 'Variant', options }, { name: 'share', label: 'Share', value: '10%', required: true }, OVERRIDE]} act=${change('ramp', of)} done=${done} />
        ${(flag.killed || flag.state === 'DISABLED') && html`<${Action} label="Enable" explain="It is evaluated again." fields=${[OVERRIDE]} act=${change('enable', of)} done=${done} />`}
        ${flag.state !== 'DISABLED' && html`<${Action} label="Disable" explain="Every caller's own default applies: requests and SDKs are told nothing of it." act=${change('disable', of)} done=${done} />`}
        <${Kill} flag=${flag} />
        <${Action} label="Edit …" title=${`Edit ${flag.key}`} confirm="Replace the definition" fields=${[{ name: 'definition', label: 'Definition', type: 'area', value: JSON.stringify(detail.definition, null, 2) }, OVERRIDE]} act=${change('set', of)} done=${done} />
      </div>
      <dl class="pairs">
        <dt>variants</dt><dd>${flag.variants.join(', ')}</dd><dt>on requests</dt><dd>${flag.in_header ? html`<code>${flag.header_name}</code>` : 'no'}</dd>
        <dt>change class</dt><dd>${flag.change_class}</dd>
        ${flag.overlays.map((each) => html`<dt>rollout</dt><dd>${each.service} gives ${each.variant} to ${percent(each.share)}</dd>`)}
        ${detail.changed && html`<dt>changed</dt><dd>by ${detail.changed.who}${detail.changed.reason ? `: ${detail.changed.reason}` : ''}, <${Time} at=${detail.changed.at} /></dd>`}
      </dl>
    <//>
    <${Panel} id="split" title="Evaluations" aside=${plural(flag.evaluations, 'evaluation')}>${detail.split.length ? html`<${Table} caption="Evaluations" head=${['variant', 'because', { name: 'evaluations', number: true }, 'share']}>
      ${detail.split.map((each) => html`<tr><th scope="row">${each.variant || "the caller's default"}</th><td>${kind(each.reason.toLowerCase())}</td><td class="number">${count(each.count)}</td><td><meter min="0" max="1" value=${each.count / flag.evaluations}></meter> ${percent(each.count / flag.evaluations)}</td></tr>`)}<//>` : html`<${Empty}>It was not evaluated yet.<//>`}<//>
    <${Panel} id="definition" title="Definition"><pre>${JSON.stringify(detail.definition, null, 2)}</pre>
      ${detail.written && JSON.stringify(detail.written) !== JSON.stringify(detail.definition) && html`<details><summary>as the file has it</summary><pre>${JSON.stringify(detail.written, null, 2)}</pre></details>`}<//>`;
}

function History({ flag }) {
  const offset = Number(route.value.query.from ?? 0) || 0;
  const found = useData('/api/v1/flags/history', { flag, limit: 20, offset }, 5000);
  return html`<${Panel} id="history" title="Versions"><${Loaded} of=${found} every=${5000}>${(page) => page.items.length ? html`<${Table} caption="Versions" head=${[{ name: 'version', number: true }, 'when', 'who', 'what', 'flags', 'why', '']}>
    ${page.items.map((each) => html`<tr key=${each.version}><th scope="row" class="number">${each.version}</th><td><${Time} at=${each.at} /></td><td>${each.who}</td><td>${each.action}</td><td>${each.flags.slice(0, 3).join(', ')}${each.number > 3 ? ` and ${each.number - 3} more` : ''}</td><td>${each.reason}</td>
      <td><${Action} small label="Back to it" title=${`Back to version ${each.version}`} confirm="Revert" explain=${flag ? `${flag} becomes what it was in version ${each.version}.` : `All flags become what they were in version ${each.version}.`} fields=${[OVERRIDE]} act=${change('revert', { to: each.version, flag: flag ?? '' })} done=${done} /></td></tr>`)}
    <//><${Pager} offset=${page.offset} limit=${page.limit} total=${page.total} to=${(at) => here({ from: at })} />` : html`<${Empty}>Nothing was changed yet.<//>`}<//><//>`;
}
