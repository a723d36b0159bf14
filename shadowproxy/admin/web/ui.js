// Pieces that every page is made of.
import { html, signal, useEffect, useRef, useState } from './vendor/bundle.js';
import { Problem, mayChange, now, session } from './api.js';
import { ago, duration, moment, wholeMoment } from './format.js';

/** What a screen reader says: changes that somebody who does not look should hear of. */
export const spoken = signal('');
export const say = (text) => {
  spoken.value = text;
};

// Words and a sign for every state, so that no colour is needed to tell them apart.
const SIGNS = {
  pass: '✓', fail: '✗', inconclusive: '…', running: '▶', pending: '○', promoted: '★', rolled_back: '↩', aborted: '■',
  over: '✓', now: '▶', coming: '○', stopped: '■', healthy: '✓', unhealthy: '✗', warn: '!', info: 'i', held: '‖',
};

export const Badge = ({ state, children }) =>
  html`<span class=${`badge ${state}`}><span aria-hidden="true">${SIGNS[state] ?? '·'} </span>${children ?? state.replaceAll('_', ' ')}</span>`;

export const Time = ({ at }) =>
  at ? html`<time datetime=${new Date(at * 1000).toISOString()} title=${wholeMoment(at)}>${moment(at)}</time>` : '–';

export const Ago = ({ at }) =>
  html`<time datetime=${new Date(at * 1000).toISOString()} title=${wholeMoment(at)}>${ago(at, now.value / 1000)}</time>`;

/** A sentence of the proxy: what is between backticks is a command. */
export const Words = ({ of }) => html`${of.split('`').map((part, index) => (index % 2 ? html`<code>${part}</code>` : part))}`;

/** A link inside the page. */
export const Go = ({ to, children, ...more }) => html`<a href=${`#${to}`} ...${more}>${children}</a>`;

export const Empty = ({ children }) => html`<p class="empty">${children}</p>`;

export const Panel = ({ title, aside, id, children, className = '' }) => html`
  <section class=${`panel ${className}`} aria-labelledby=${id}>
    <header><h2 id=${id}>${title}</h2>${aside && html`<div class="aside">${aside}</div>`}</header>
    ${children}
  </section>`;

/** What was asked for, or why it is not there. What is older than it should be says so. */
export function Loaded({ of, every = 0, children }) {
  const late = every > 0 && of.at > 0 && now.value - of.at > every * 3 + 3000;
  if (!of.data) return of.problem ? html`<${Trouble} problem=${of.problem} again=${of.again} />` : html`<p class="loading" role="status">Loading …</p>`;
  return html`${(of.problem || late) && html`<p class="notice warn" role="status">
    <b>Not current.</b> This is of ${ago(of.at / 1000, now.value / 1000)}${of.problem ? `: ${of.problem.message}` : ''}.
  </p>`}${children(of.data)}`;
}

export const Trouble = ({ problem, again }) => html`<p class="notice fail" role="alert">
  <b>${problem.status === 404 ? 'Not there.' : 'This cannot be shown.'}</b> ${problem.message}
  ${again && problem.status !== 404 && html` <button type="button" onClick=${again}>Try again</button>`}
</p>`;

export const Meter = ({ value, of, label, words }) => html`<div class="meter">
  <span>${label}</span>
  <progress value=${of ? Math.min(value, of) : 1} max=${of || 1} aria-label=${label}></progress>
  <span class="number">${words}</span>
</div>`;

export const Table = ({ head, children, caption, className = '' }) => html`<div class="scroll" tabindex="0" role="region" aria-label=${`${caption}, table`}>
  <table class=${className}>
    <caption class="hidden">${caption}</caption>
    <thead><tr>${head.map((each) => (each === '' ? html`<td></td>` : html`<th scope="col" class=${each.number ? 'number' : ''}>${each.name ?? each}</th>`))}</tr></thead>
    <tbody>${children}</tbody>
  </table>
</div>`;

/** Pages of a long list, in the address. */
export function Pager({ offset, limit, total, to }) {
  if (total <= limit) return null;
  const last = Math.min(offset + limit, total);
  return html`<nav class="pager" aria-label="Pages">
    ${offset > 0 && html`<${Go} to=${to(Math.max(0, offset - limit))} rel="prev">← newer<//>`}
    <span>${offset + 1}–${last} of ${total.toLocaleString('en')}</span>
    ${last < total && html`<${Go} to=${to(offset + limit)} rel="next">older →<//>`}
  </nav>`;
}

export function Copy({ text, what }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setDone(true);
      say(`${what} copied`);
    } catch {
      say('copying was refused by the browser');
    }
  };
  return html`<button type="button" class="small" onClick=${copy}>${done ? 'copied' : `copy ${what}`}</button>`;
}

/**
 * A button that asks for a reason and a confirmation, then does something.
 * `fields`: what else is asked for, `[{name, label, value, options, hint}]`; `act(values)` does it.
 */
export function Action({ label, title, explain, act, done, fields = [], reason = 'optional', confirm, danger, small, always }) {
  const open = () => {
    asked.value = { title: title ?? label, explain, act, done, fields, reason, confirm: confirm ?? label, danger };
  };
  if (!always && !mayChange.value) return null;
  const allowed = mayChange.value;
  return html`<button type="button" class=${`${danger ? 'danger' : ''} ${small ? 'small' : ''}`} disabled=${!allowed}
      title=${allowed ? '' : `the role operator is needed; ${session.value?.name || 'nobody'} is ${session.value?.role || 'not signed in'}`}
      onClick=${open}>${label}</button>`;
}

/** The dialog that is open. It stays as it is whatever happens meanwhile: the proxy says whether it still applies. */
const asked = signal(null);

export const Dialog = () => asked.value && html`<${Confirm} ...${asked.value} close=${() => (asked.value = null)} />`;

function Confirm({ title, explain, act, done, fields, reason, confirm, danger, close }) {
  const dialog = useRef(null);
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    const before = document.activeElement;
    dialog.current.showModal();
    return () => before?.focus?.();
  }, []);
  const submit = async (event) => {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(event.target));
    setBusy(true);
    setProblem(null);
    try {
      const answer = await act(values);
      say(typeof done === 'function' ? done(answer) : (done ?? `${title}: done`));
      close();
    } catch (error) {
      setProblem(error instanceof Problem ? error.message : String(error));
      setBusy(false);
    }
  };
  return html`<dialog ref=${dialog} onClose=${close} aria-labelledby="confirm-title">
    <form onSubmit=${submit}>
      <h2 id="confirm-title">${title}</h2>
      ${explain && html`<div class="explain">${explain}</div>`}
      ${fields.map((field) => html`<${Field} key=${field.name} ...${field} />`)}
      ${reason !== 'none' && html`<${Field} name="reason" label=${reason === 'required' ? 'Reason' : 'Reason (optional)'} required=${reason === 'required'} hint="It is kept with your name." />`}
      ${problem && html`<p class="notice fail" role="alert">${problem}</p>`}
      <div class="buttons">
        <button type="button" onClick=${close}>Cancel</button>
        <button type="submit" class=${danger ? 'danger' : 'primary'} disabled=${busy}>${busy ? 'Working …' : confirm}</button>
      </div>
    </form>
  </dialog>`;
}

export function Field({ name, label, value = '', options, hint, required = false, type = 'text', autofocus = false }) {
  const id = `field-${name}`;
  const described = hint ? `${id}-hint` : undefined;
  return html`<div class="field">
    <label for=${id}>${label}</label>
    ${options
      ? html`<select id=${id} name=${name} aria-describedby=${described}>${options.map((each) => html`<option value=${each.value ?? each} selected=${(each.value ?? each) === value}>${each.label ?? each}</option>`)}</select>`
      : type === 'area'
        ? html`<textarea id=${id} name=${name} rows="12" required=${required} aria-describedby=${described} spellcheck="false">${value}</textarea>`
        : html`<input id=${id} name=${name} type=${type} defaultValue=${value} required=${required} autofocus=${autofocus} maxlength="500" autocomplete="off" aria-describedby=${described} />`}
    ${hint && html`<small id=${described}>${hint}</small>`}
  </div>`;
}

/** A duration that grows by itself. */
export const Since = ({ at }) => html`<span>${duration(Math.max(0, Math.round(now.value / 1000 - at)))}</span>`;
