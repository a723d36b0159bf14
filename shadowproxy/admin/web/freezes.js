// When changes do not go on: what blocks now, a calendar of what comes, and freezes by hand.
import { html } from './vendor/bundle.js';
import { changes, post, useData } from './api.js';
import { duration } from './format.js';
import { Action, Badge, Empty, Loaded, Panel, Table, Time } from './ui.js';

const DAYS = 28;
const done = 'It is done, and in the audit';

const act = (path, body = {}) => async (values) => {
  const { classes, all, ...rest } = values;
  const said = { ...body, ...Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== '')) };
  if (classes !== undefined) said.classes = classes === 'all' ? ['feature', 'fix', 'security'] : [classes];
  if (all === 'true') delete said.services;
  await post(`/api/v1/freeze/${path}`, said);
  changes.value++;
};

export function Freezes({ service }) {
  const found = useData('/api/v1/freeze', { service: service.name }, 4000);
  const calendar = useData('/api/v1/freeze/calendar', { service: service.name, days: DAYS }, 30_000);
  return html`<h1 tabindex="-1">Freezes</h1>
    <div class="commands"><${Action} label="Freeze …" title="Start a freeze" confirm="Freeze" reason="required" done=${done} explain="Rollouts and flags of these classes do not go on. Going back is never frozen."
      fields=${[
        { name: 'until', label: 'Until', hint: 'Such as 2h, or 2027-01-03T08:00+01:00; empty: until somebody ends it.' },
        { name: 'classes', label: 'Changes', options: [{ value: 'feature', label: 'features' }, { value: 'fix', label: 'fixes' }, { value: 'security', label: 'security' }, { value: 'all', label: 'all' }] },
        { name: 'in_flight', label: 'What runs', options: [{ value: 'hold', label: 'is held' }, { value: 'continue', label: 'goes on' }, { value: 'rollback', label: 'is rolled back' }] },
        { name: 'all', label: 'Services', options: [{ value: 'false', label: `${service.name} alone` }, { value: 'true', label: 'all' }] },
      ]}
      act=${act('start', { services: [service.name] })} /></div>
    <${Panel} id="freezes" title="Freezes"><${Loaded} of=${found} every=${4000}>${(list) => list.length ? html`<${Table} caption="Freezes" head=${['name', 'now', 'what', 'begins', 'ends', 'changes', 'what runs', 'why', '']}>
      ${list.map((each) => html`<tr key=${each.name}><th scope="row">${each.name}</th><td><${Badge} state=${each.active ? (each.kind === 'deny' ? 'held' : 'pass') : 'coming'}>${each.active ? 'active' : 'not now'}<//></td>
        <td>${each.kind === 'deny' ? 'blocks' : 'allows'}${each.source === 'manual' ? `, by ${each.by}` : ''}</td><td>${each.begins_at ? html`<${Time} at=${each.begins_at} />` : '–'}</td><td>${each.ends_at ? html`<${Time} at=${each.ends_at} />` : '–'}</td>
        <td>${each.classes.join(', ')}${each.services.length ? ` of ${each.services.join(', ')}` : ''}</td><td>${{ hold: 'is held', continue: 'goes on', rollback: 'is rolled back' }[each.in_flight] ?? each.in_flight}</td><td>${each.reason}</td>
        <td>${each.id && html`<${Action} small label="End" title=${`End ${each.name}`} confirm="End the freeze" reason="required" act=${act('end', { id: each.id })} done=${done} />`}</td></tr>`)}<//>` : html`<${Empty}>There is none.<//>`}<//><//>
    <${Panel} id="calendar" title=${`The next ${DAYS} days`}><${Loaded} of=${calendar} every=${30_000}>${(days) => html`<${Calendar} turns=${days} />`}<//><//>`;
}

const DAY = 86_400;

function Calendar({ turns }) {
  const today = new Date();
  today.setHours(0, 0, 0, 0);
  const first = new Date(today);
  first.setDate(first.getDate() - ((first.getDay() + 6) % 7));
  const cells = Array.from({ length: Math.ceil((DAYS + (today - first) / 1000 / DAY) / 7) * 7 }, (_, index) => {
    const date = new Date(first);
    date.setDate(date.getDate() + index);
    const next = new Date(date);
    next.setDate(next.getDate() + 1);
    const [begin, end] = [date / 1000, next / 1000];
    return { date, past: date < today, turns: turns.filter((each) => each.begins_at < end && (each.ends_at ?? Infinity) > begin).map((each) => ({ ...each, whole: each.begins_at <= begin && (each.ends_at ?? Infinity) >= end })) };
  });
  const weeks = Array.from({ length: cells.length / 7 }, (_, week) => cells.slice(week * 7, week * 7 + 7));
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Calendar"><table class="calendar"><caption class="hidden">Freezes by day</caption>
    <thead><tr>${['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'].map((each) => html`<th scope="col">${each}</th>`)}</tr></thead>
    <tbody>${weeks.map((week) => html`<tr>${week.map((day) => html`<td class=${`${day.past ? 'past' : ''} ${+day.date === +today ? 'today' : ''}`}><span class="day">${day.date.getDate() === 1 || day === cells[0] ? day.date.toLocaleDateString('en', { month: 'short', day: 'numeric' }) : day.date.getDate()}</span>
      ${day.turns.map((each) => html`<div class=${`turn ${each.kind}`} title=${`${each.name}: ${new Date(each.begins_at * 1000).toLocaleString()} to ${each.ends_at ? new Date(each.ends_at * 1000).toLocaleString() : 'no end yet'}`}>${each.kind === 'deny' ? '✗' : '✓'} ${each.name}${each.whole ? '' : html` <small>part</small>`}</div>`)}</td>`)}</tr>`)}</tbody></table></div>
    ${turns.length ? html`<details><summary>as a table</summary><${Table} caption="What comes" head=${['what', 'begins', 'ends', 'for']}>${turns.map((each) => html`<tr><th scope="row">${each.name} <small>${each.kind === 'deny' ? 'blocks' : 'allows'}</small></th><td><${Time} at=${each.begins_at} /></td><td>${each.ends_at ? html`<${Time} at=${each.ends_at} />` : 'no end yet'}</td><td>${each.ends_at ? duration(each.ends_at - each.begins_at) : '–'}</td></tr>`)}<//></details>` : html`<${Empty}>Nothing is planned.<//>`}`;
}
