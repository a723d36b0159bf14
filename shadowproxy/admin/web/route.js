// Where in the page we are: `#/differences?route=item`, so that a view can be sent to a colleague.
import { signal } from './vendor/bundle.js';

function read() {
  const [path, query = ''] = location.hash.slice(1).split('?');
  const parts = path.split('/').filter(Boolean).map(decoded);
  return { page: parts[0] ?? 'overview', id: parts[1] ?? '', query: Object.fromEntries(new URLSearchParams(query)) };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export const route = signal(read());
addEventListener('hashchange', () => (route.value = read()));

/** The address of a page; what is empty is left out. */
export function to(page, query = {}, id = '') {
  const said = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== '' && value !== 0);
  const text = new URLSearchParams(said).toString();
  return `/${page}${id ? `/${encodeURIComponent(id)}` : ''}${text ? `?${text}` : ''}`;
}

/** The same page with some of its query different. */
export const here = (changes) => to(route.value.page, { ...route.value.query, ...changes }, route.value.id);

export const go = (address) => {
  location.hash = address;
};

/** The same without a step back in the history: for filters that are typed. */
export function replace(address) {
  history.replaceState(null, '', `#${address}`);
  route.value = read();
}
