// At a glance: where the rollout is and why, what differs, what mirroring adds, whether the books balance.
import { html } from './vendor/bundle.js';
import { now, status, useData } from './api.js';
import { Commands, Watch, part } from './commands.js';
import { count, duration, kind, percent, plural, short, until } from './format.js';
import { route, to } from './route.js';
import { Badge, Empty, Go, Loaded, Meter, Panel, Since, Table, Time, Words } from './ui.js';

export function Overview({ service, rollout }) {
  const report = useData('/api/v1/report', { service: service.name }, 4000);
  const explain = useData(service.rollout ? '/api/v1/rollout/explain' : null, { service: service.name }, 2000);
  return html`<h1 tabindex="-1">${service.name}</h1>
    ${service.rollout ? html`<${Loaded} of=${rollout} every=${2000}>${(found) => html`<${Now} rollout=${found} explain=${explain.data} />`}<//>` : html`<${Panel} id="now" title="Rollout"><${Empty}>There is no <code>rollout</code> in the configuration: requests are mirrored and compared.<//><//>`}
    <${Loaded} of=${report} every=${4000}>${(found) => html`<${Facts} service=${service} report=${found.services[0]} />`}<//>
    <${Processes} />`;
}

function Now({ rollout, explain }) {
  const step = rollout.steps.findIndex((each) => each.state === 'now');
  return html`<${Panel} id="now" className=${`now ${rollout.phase}`} title=${html`<${Badge} state=${rollout.phase} /> ${rollout.name}`}
      aside=${html`attempt ${rollout.attempt}${rollout.started_at ? html`, for <${Since} at=${rollout.started_at} />` : ''}`}>
    <p class="why"><${Words} of=${explain?.sentences?.[0] ?? rollout.why} /></p>
    <div class="figures">
      <${Figure} name="stage" value=${part(rollout) || '–'} more=${step >= 0 ? `part ${step + 1} of ${rollout.steps.length}` : plural(rollout.steps.length, 'part')} />
      <${Figure} name="to the candidate" value=${percent(rollout.weight)} />
      <${Figure} name="finished" value=${rollout.finish_at ? until(rollout.finish_at, now.value / 1000) : '–'} more=${rollout.finish_at ? 'at the earliest' : rollout.finish_why} />
      <${Figure} name="watch" value=${rollout.watch.holder || 'nobody'} more=${rollout.watch.until ? `lapses ${until(rollout.watch.until, now.value / 1000)}` : rollout.watch.required ? 'required' : 'not required'} />
    </div>
    ${rollout.bake && html`<${Bake} bake=${rollout.bake} />`}
    <${Holds} rollout=${rollout} />
    ${rollout.missing.length > 0 && html`<p><b>Still needed:</b> ${rollout.missing.join('; ')}.</p>`}
    <p><b>Next:</b> <${Words} of=${rollout.next} /></p>
    <${Commands} rollout=${rollout} />
    <${Watch} rollout=${rollout} />
    <p><${Go} to=${to('rollout', { service: route.value.query.service })}>The whole plan, checks and charts<//></p>
  <//>`;
}

export const Holds = ({ rollout }) => rollout.holds.length > 0 && html`<ul class="holds" aria-label="What holds it">${rollout.holds.map(
  (hold) => html`<li><${Badge} state="held">${kind(hold.reason)}<//> ${hold.detail || (hold.reason === 'approval' ? 'it waits for a person to approve' : '')}
    <span class="muted"> since <${Time} at=${hold.since} />${hold.by === 'shadowproxy' ? '' : `, by ${hold.by}`}</span></li>`,
)}</ul>`;

export const Bake = ({ bake }) => html`<div class="meters">
  ${bake.warmup > 0 && html`<p class="muted">Warming up for ${duration(Math.ceil(bake.warmup))} more: nothing counts yet.</p>`}
  ${bake.needed_seconds > 0 && html`<${Meter} label="time" value=${bake.seconds} of=${bake.needed_seconds} words=${`${duration(Math.floor(bake.seconds))} of ${duration(bake.needed_seconds)}`} />`}
  ${bake.needed_requests > 0 && html`<${Meter} label="requests" value=${bake.requests} of=${bake.needed_requests} words=${`${count(bake.requests)} of ${count(bake.needed_requests)}`} />`}
</div>`;

const Figure = ({ name, value, more }) => html`<div class="figure"><span class="name">${name}</span><b>${value}</b>${more && html`<small>${more}</small>`}</div>`;

function Facts({ service, report }) {
  if (!report) return null;
  const sum = (pick) => report.routes.reduce((total, each) => total + pick(each), 0);
  const books = report.routes.map((each) => each.books.candidate).filter(Boolean);
  const given = (name) => books.reduce((total, each) => total + Object.values(each[name]).reduce((a, b) => a + b, 0), 0);
  const unaccounted = books.reduce((total, each) => total + Math.abs(each.unaccounted[0]) + Math.abs(each.unaccounted[1]), 0);
  const regressed = sum((each) => each.evidence.filter((one) => one.state === 'regressed').length);
  return html`<div class="columns">
    <${Panel} id="verdict" title=${html`<${Badge} state=${report.verdict} /> Differences`}>
      <p class="why">${report.conclusion}</p>
      <div class="figures">
        <${Figure} name="pairs compared" value=${short(report.compared)} />
        <${Figure} name="differ" value=${short(report.mismatches)} more=${report.compared ? percent(report.mismatches / report.compared) : ''} />
        <${Figure} name="regressed fields" value=${regressed} />
      </div>
      ${report.causes.length > 0 && html`<ol class="causes">${report.causes.slice(0, 5).map((cause) => html`<li><${Go} to=${to('differences', { service: route.value.query.service }, cause.id)}>${cause.words}<//> <span class="muted">${plural(cause.pairs, 'pair')}</span></li>`)}</ol>`}
      <p><${Go} to=${to('differences', { service: route.value.query.service })}>All differences<//> · <a href=${`/api/v1/report?format=html&service=${encodeURIComponent(service.name)}`}>the report as a page</a></p>
    <//>
    <${Panel} id="books" title="Books of the copies">
      ${books.length === 0 ? html`<${Empty}>Nothing was mirrored yet.<//>` : html`
      <${Table} caption="Where the candidate's copies went" head=${['', { name: 'copies', number: true }]}>
        <${Line} name="eligible" value=${sum((each) => each.books.candidate?.eligible ?? 0)} />
        <${Line} name="− not sampled" value=${sum((each) => each.books.candidate?.sampled_out ?? 0)} />
        <${Line} name="− dropped" value=${given('dropped')} />
        <${Line} name="= sent" value=${sum((each) => each.books.candidate?.sent ?? 0)} strong />
        <${Line} name="compared" value=${sum((each) => each.books.candidate?.compared ?? 0)} />
        <${Line} name="lost" value=${given('lost')} />
        <${Line} name="in flight" value=${sum((each) => each.books.candidate?.in_flight ?? 0)} />
      <//>
      <p><${Badge} state=${unaccounted > 4 ? 'warn' : 'pass'}>${unaccounted > 4 ? `${unaccounted} unaccounted for` : 'they balance'}<//></p>`}
    <//>
    <${Panel} id="isolation" title="What mirroring adds for users"><${Isolation} of=${report.isolation} /><//>
    <${Panel} id="upstreams" title="Upstreams"><${Upstreams} service=${service} /><//>
  </div>`;
}

const Line = ({ name, value, strong }) => html`<tr><th scope="row">${name}</th><td class="number">${strong ? html`<b>${count(value)}</b>` : count(value)}</td></tr>`;

function Isolation({ of }) {
  if (!of) return html`<${Empty}>Nothing is held out (<code>isolation.hold_out</code>), so nobody can say.<//>`;
  const names = Object.keys(of.added);
  const words = { starting: 'It has just begun.', slow: `Too few requests: fewer than ${of.least_rate} a second.`, unmirrored: 'No copies are sent.', measuring: `${plural(of.slots, 'slot')} without mirroring compared with those around.` };
  return html`<p>${words[of.state] ?? of.state}</p>
    ${names.length > 0 && html`<${Table} caption="Latency that mirroring adds to the primary's" head=${['', { name: 'added', number: true }, { name: '95 % between', number: true }]}>
      ${names.map((name) => html`<tr><th scope="row">${name}</th><td class="number">${duration(of.added[name].estimate)}</td><td class="number">${duration(of.added[name].lower)} and ${duration(of.added[name].upper)}</td></tr>`)}
    <//>`}`;
}

const Upstreams = ({ service }) => html`<${Table} caption="Upstreams" head=${['arm', 'state', { name: 'URLs', number: true }, { name: 'connections', number: true }]}>
  ${Object.entries(service.upstreams).map(([arm, each]) => {
    const total = each.urls.length;
    const state = each.healthy === 0 ? 'unhealthy' : each.healthy < total || each.breaker_open ? 'warn' : 'healthy';
    return html`<tr><th scope="row"><span class=${`key ${arm}`}>${arm}</span></th><td><${Badge} state=${state}>${each.breaker_open ? 'rests: it was refused or timed out' : `${each.healthy} of ${total} healthy`}<//></td>
      <td class="number" title=${each.urls.join('\n')}>${total}</td><td class="number">${count(Object.values(each.connections).reduce((a, b) => a + b, 0))}</td></tr>`;
  })}<//>`;

function Processes() {
  const found = status.value;
  if (!found) return null;
  const problems = found.reloads.problems;
  return html`<${Panel} id="processes" title="Proxy" aside=${`version ${found.version}, up ${duration(Math.floor(found.at - found.started_at))}`}>
    ${!found.reloads.last_ok && html`<div class="notice fail"><b>The last reload was refused;</b> the configuration before it is in force.<ul>${problems.map((each) => html`<li><code>${each}</code></li>`)}</ul></div>`}
    <p><${Badge} state=${found.ready ? 'healthy' : 'warn'}>${found.ready ? 'ready' : 'not every worker listens'}<//> ${plural(found.workers.filter((each) => each.fresh).length, 'worker')},
      ${' '}${plural(found.workers.reduce((total, each) => total + each.connections, 0), 'connection')},
      ${' '}slowest loop ${duration(Math.max(0, ...found.workers.map((each) => each.loop_lag)))}${found.workers.some((each) => each.overloaded) ? html`, <${Badge} state="warn">sheds copies<//>` : ''}</p>
  <//>`;
}
