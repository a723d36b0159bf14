// The frame around every page: which one it is, what everybody has to see, and the way back.
import { computed, effect, html, render, useEffect } from './vendor/bundle.js';
import { follow, get, heardAt, isLost, isStale, lookWhoIsHere, now, session, signOut, status, useData } from './api.js';
import { ago, percent, until } from './format.js';
import { Audit } from './audit.js';
import { Differences } from './differences.js';
import { Flags } from './flags.js';
import { Freezes } from './freezes.js';
import { Overview } from './overview.js';
import { Rollout } from './rollout.js';
import { AbortButton, part } from './commands.js';
import { SignIn } from './signin.js';
import { go, here, route, to } from './route.js';
import { Badge, Dialog, Go, say, spoken } from './ui.js';

const PAGES = {
  overview: ['Overview', Overview],
  rollout: ['Rollout', Rollout],
  differences: ['Differences', Differences],
  flags: ['Flags', Flags],
  freezes: ['Freezes', Freezes],
  audit: ['Audit', Audit],
};

const services = computed(() => status.value?.services ?? []);
/** The service that everything on the page is about. */
const service = computed(() => {
  const wanted = route.value.query.service;
  return services.value.find((each) => each.name === wanted) ?? services.value[0] ?? null;
});

/** The page that was there before: who goes to another one reads it from its head. */
let shown = '';

function Shell() {
  const [, Page] = PAGES[route.value.page] ?? [];
  const chosen = service.value;
  const rollout = useData(chosen?.rollout ? '/api/v1/rollout' : null, { service: chosen?.name }, 2000);
  useEffect(() => {
    document.title = `${PAGES[route.value.page]?.[0] ?? 'Not found'} · ${chosen?.name ?? ''} · shadowproxy`;
    if (shown && shown !== route.value.page) document.querySelector('main h1')?.focus({ preventScroll: true });
    shown = route.value.page;
  }, [route.value.page, chosen?.name]);
  return html`
    <a class="skip" href="#main" onClick=${skip}>Skip to content</a>
    <header class="top">
      <div class="brand"><b>shadowproxy</b>${services.value.length > 1 ? html`<${Choice} />` : html`<span>${chosen?.name}</span>`}</div>
      ${rollout.data && html`<${Where} rollout=${rollout.data} />`}
      <div class="right">${rollout.data && html`<${AbortButton} rollout=${rollout.data} />`}<${Live} /><${Person} /></div>
    </header>
    <${Freeze} service=${chosen?.name} rollout=${rollout.data} />
    <nav class="pages" aria-label="Pages">${Object.entries(PAGES).map(
      ([page, [name]]) => html`<${Go} to=${to(page, { service: route.value.query.service })} aria-current=${page === route.value.page ? 'page' : undefined}>${name}<//>`,
    )}</nav>
    <main id="main" tabindex="-1" class=${isStale.value ? 'stale' : ''}>
      ${!chosen ? html`<p class="loading" role="status">Waiting for the proxy …</p>` : Page ? html`<${Page} key=${`${route.value.page} ${chosen.name}`} service=${chosen} rollout=${rollout} />` : html`<h1 tabindex="-1">Not found</h1><p>There is no page ${route.value.page}.</p>`}
    </main>`;
}

const skip = (event) => {
  event.preventDefault();
  document.getElementById('main').focus();
};

const Choice = () => html`<label class="hidden" for="service">Service</label>
  <select id="service" onChange=${(event) => go(here({ service: event.target.value }))}>
    ${services.value.map((each) => html`<option value=${each.name} selected=${each.name === service.value?.name}>${each.name}</option>`)}
  </select>`;

const Where = ({ rollout }) => html`<div class="where"><${Go} to=${to('rollout', { service: route.value.query.service })}>
  <${Badge} state=${rollout.phase} />${rollout.stage ? html` ${part(rollout)}` : ''} · <b>${percent(rollout.weight)}</b> ${rollout.weight ? 'to the candidate' : 'candidate'}<//>
  ${rollout.holds.map((hold) => html` <${Badge} state="held">${hold.reason.replaceAll('_', ' ')}<//>`)}</div>`;

const Live = () => html`<span class=${`live ${isLost.value ? 'lost' : ''}`} role="status">
  ${isLost.value ? `✗ not live${heardAt.value ? `, last heard ${ago(heardAt.value, now.value / 1000)}` : ''}` : '● live'}</span>`;

const Person = () => html`${session.value?.needed
  ? html`<span class="person">${session.value.name} (${session.value.role})</span> <button class="small" type="button" onClick=${() => signOut()}>Sign out</button>`
  : ''}`;

function Freeze({ service: name, rollout }) {
  const found = useData(name ? '/api/v1/freeze' : null, { service: name }, 5000);
  const active = (found.data ?? []).filter((each) => each.active && each.kind === 'deny');
  const held = rollout?.holds.some((hold) => hold.reason === 'freeze');
  if (!active.length && !held) return null;
  const words = active.map((each) => `${each.name}${each.reason ? ` (${each.reason})` : ''} ${each.ends_at ? `ends ${until(each.ends_at, now.value / 1000)}` : 'has no end yet'}`);
  return html`<div class="banner" role="status"><b>Frozen.</b> ${words.join('; ') || 'outside of every window that allows changes'}. Going back is always possible.
    <${Go} to=${to('freezes', { service: route.value.query.service })}>Freezes<//></div>`;
}

// What somebody who does not look should hear.
let before = null;
effect(() => {
  const chosen = service.value;
  if (!chosen?.rollout) return;
  const key = `${chosen.name} ${chosen.rollout.phase} ${chosen.rollout.weight} ${chosen.rollout.stage}`;
  if (before && before !== key) say(`The rollout of ${chosen.name} is ${chosen.rollout.phase.replaceAll('_', ' ')}, ${percent(chosen.rollout.weight)} to the candidate`);
  before = key;
});
effect(() => {
  if (heardAt.value && isStale.value) say('The proxy is not heard any more: what is shown is old');
});

function App() {
  const signedIn = session.value !== null && session.value.role !== '';
  useEffect(() => {
    if (!signedIn) return undefined;
    get('/api/v1/status').then((found) => (status.value ??= found)).catch(() => {});
    return follow();
  }, [signedIn]);
  return html`${session.value === null ? html`<p class="loading" role="status">Loading …</p>` : signedIn ? html`<${Shell} />` : html`<${SignIn} />`}
    <${Dialog} /><div class="hidden" aria-live="polite" role="log">${spoken.value}</div>`;
}

async function begin() {
  try {
    await lookWhoIsHere();
  } catch {
    setTimeout(begin, 2000);
  }
}

render(html`<${App} />`, document.getElementById('app'));
begin();
