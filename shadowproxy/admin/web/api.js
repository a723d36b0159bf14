// What the page asks of the API and hears from it. Everything that is wrong becomes a Problem with words for people.
import { computed, signal, useEffect, useState } from './vendor/bundle.js';

const STALE_AFTER = 6000;

export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** Who is signed in: `{needed, name, role}`; null until that is known. */
export const session = signal(null);
/** The status of the whole tree, once a second. */
export const status = signal(null);
/** Counts up with everything that happened to a rollout, a freeze or the flags: what shows them asks again. */
export const changes = signal(0);
/** The clock of the page, in milliseconds; once a second. */
export const now = signal(Date.now());
const heard = signal(0);
const following = signal(false);
export const isStale = computed(() => heard.value > 0 && now.value - heard.value > STALE_AFTER);
export const isLost = computed(() => isStale.value || !following.value);
export const heardAt = computed(() => heard.value / 1000);
export const mayChange = computed(() => session.value?.role === 'operator');

setInterval(() => (now.value = Date.now()), 1000);

async function answered(response) {
  const text = await response.text();
  let body = text;
  try {
    body = JSON.parse(text);
  } catch {
    if (response.ok) throw new Problem(response.status, 'the answer is not JSON');
  }
  if (response.ok) return body;
  if (response.status === 401 && session.value?.needed !== false) session.value = { ...session.value, role: '' };
  throw new Problem(response.status, body?.detail ?? `${response.status} ${response.statusText}`);
}

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { credentials: 'same-origin', cache: 'no-store', ...options });
  } catch {
    throw new Problem(0, 'the proxy does not answer');
  }
  return answered(response);
}

/** `get('/api/v1/causes', {route: 'item'})`; what is empty is left out. */
export function get(path, parameters = {}, options = {}) {
  const said = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null && value !== '');
  const query = new URLSearchParams(said).toString();
  return ask(query ? `${path}?${query}` : path, options);
}

export function post(path, body, method = 'POST') {
  return ask(path, { method, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
}

export async function lookWhoIsHere() {
  session.value = await get('/api/v1/session');
}

export async function signIn(token) {
  session.value = await post('/api/v1/session', { token });
}

export async function signOut() {
  session.value = await ask('/api/v1/session', { method: 'DELETE' });
}

/** Follow the events until the returned function is called. The browser connects again by itself. */
export function follow() {
  const source = new EventSource('/api/v1/events');
  const hear = () => {
    heard.value = Date.now();
    following.value = true;
  };
  source.addEventListener('open', hear);
  source.addEventListener('error', () => {
    following.value = false;
  });
  source.addEventListener('status', (event) => {
    hear();
    status.value = JSON.parse(event.data);
  });
  for (const name of ['rollout', 'flags']) source.addEventListener(name, () => changes.value++);
  return () => source.close();
}

/**
 * What a path answers, again every `every` milliseconds and when something changed. `{data, problem, at, again}`.
 * An answer that is late is dropped where another question was asked since.
 */
export function useData(path, parameters = {}, every = 0) {
  const key = path && JSON.stringify([path, parameters]);
  const [found, setFound] = useState({ key: null, data: null, problem: null, at: 0 });
  const [asked, setAsked] = useState(0);
  const changed = every ? changes.value : 0;
  useEffect(() => {
    if (!path) return undefined;
    const controller = new AbortController();
    let timer;
    const once = async () => {
      try {
        const data = await get(path, parameters, { signal: controller.signal });
        if (!controller.signal.aborted) setFound({ key, data, problem: null, at: Date.now() });
      } catch (problem) {
        if (!controller.signal.aborted) {
          setFound((before) => ({ ...(before.key === key ? before : { key, data: null, at: 0 }), problem }));
        }
      }
      if (every && !controller.signal.aborted) timer = setTimeout(once, document.hidden ? every * 5 : every);
    };
    once();
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }, [key, asked, changed, every]);
  const here = found.key === key ? found : { data: null, problem: null, at: 0 };
  return { ...here, again: () => setAsked((before) => before + 1) };
}
