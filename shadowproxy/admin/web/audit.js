// Who changed and who decided what, with filters that are in the address.
import { html } from './vendor/bundle.js';
import { useData } from './api.js';
import { kind } from './format.js';
import { here, replace, route } from './route.js';
import { Badge, Empty, Loaded, Pager, Panel, Table, Time } from './ui.js';

export function Audit({ service }) {
  const { who = '', action = '', search = '', from } = route.value.query;
  const found = useData('/api/v1/audit', { service: service.name, who, action, search, limit: 50, offset: Number(from ?? 0) || 0 }, 5000);
  let waiting;
  const filter = (name) => (event) => {
    const text = event.target.value;
    clearTimeout(waiting);
    waiting = setTimeout(() => replace(here({ [name]: text, from: '' })), 250);
  };
  return html`<h1 tabindex="-1">Audit</h1>
    <form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
      <label>Search <input type="search" defaultValue=${search} onInput=${filter('search')} placeholder="in reasons" /></label>
      <label>Who <input type="search" defaultValue=${who} onInput=${filter('who')} /></label>
      <label>What <input type="search" defaultValue=${action} onInput=${filter('action')} placeholder="such as rollback" /></label>
    </form>
    <${Panel} id="audit" title="Audit"><${Loaded} of=${found} every=${5000}>${(page) => page.items.length ? html`
      <${Table} caption="Audit" head=${[{ name: 'no.', number: true }, 'when', 'who', 'what', 'why', 'more']}>
        ${page.items.map((each) => html`<tr key=${each.number}><th scope="row" class="number">${each.number}</th><td><${Time} at=${each.at} /></td><td>${each.who}</td><td>${kind(each.action)}${each.attempt ? html` <small class="muted">attempt ${each.attempt}</small>` : ''}</td>
          <td>${each.reason}${each.error ? html` <${Badge} state="fail">not done: ${each.error}<//>` : ''}</td>
          <td><details><summary>details</summary><pre class="wrap">${JSON.stringify(each.what, null, 1)}</pre><small>hash <code>${each.hash.slice(0, 16)}…</code></small></details></td></tr>`)}<//>
      <${Pager} offset=${page.offset} limit=${page.limit} total=${page.total} to=${(at) => here({ from: at })} />` : html`<${Empty}>${who || action || search ? 'Nothing matches.' : 'Nothing was changed yet.'}<//>`}<//><//>`;
}
