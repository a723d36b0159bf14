// Numbers, times and words as people read them. Pure.

export const percent = (share, digits = 1) =>
  share === null || share === undefined ? '–' : `${trim((share * 100).toFixed(share && share < 0.001 ? 3 : digits))}%`;

const trim = (text) => (text.includes('.') ? text.replace(/\.?0+$/, '') : text);

export const count = (number) => (number ?? 0).toLocaleString('en');

export function short(number) {
  if (number < 10_000) return count(number);
  const [size, unit] = number < 1e6 ? [1e3, 'k'] : number < 1e9 ? [1e6, 'M'] : [1e9, 'G'];
  return `${trim((number / size).toFixed(1))}${unit}`;
}

/** A duration in seconds: `850 µs`, `12 ms`, `4.2 s`, `3 min`, `2 h 5 min`, `4 d 3 h`. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return '–';
  const size = Math.abs(seconds);
  const sign = seconds < 0 ? '−' : '';
  if (size === 0) return '0 s';
  if (size < 0.001) return `${sign}${Math.round(size * 1e6)} µs`;
  if (size < 1) return `${sign}${trim((size * 1e3).toFixed(size < 0.1 ? 1 : 0))} ms`;
  if (size < 60) return `${sign}${trim(size.toFixed(size < 10 ? 1 : 0))} s`;
  if (size < 3600) return `${sign}${two(size, 60, 'min', 1, 's')}`;
  if (size < 86_400) return `${sign}${two(size, 3600, 'h', 60, 'min')}`;
  return `${sign}${two(size, 86_400, 'd', 3600, 'h')}`;
}

function two(size, large, unit, small, rest) {
  const whole = Math.floor(size / large);
  const left = Math.floor((size % large) / small);
  return left ? `${whole} ${unit} ${left} ${rest}` : `${whole} ${unit}`;
}

export const ago = (at, now) => (now - at < 2 ? 'just now' : `${duration(Math.round(now - at))} ago`);

export const until = (at, now) => (at <= now ? 'now' : `in ${duration(Math.round(at - now))}`);

const DAY = new Intl.DateTimeFormat('en', { month: 'short', day: 'numeric' });
const TIME = new Intl.DateTimeFormat('en', { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const SECONDS = new Intl.DateTimeFormat('en', { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const WHOLE = new Intl.DateTimeFormat('en', { dateStyle: 'full', timeStyle: 'long' });

const isToday = (date) => date.toDateString() === new Date().toDateString();

/** A moment, Unix time: the time today, else with its day. */
export function moment(at) {
  const date = new Date(at * 1000);
  return isToday(date) ? SECONDS.format(date) : `${DAY.format(date)}, ${TIME.format(date)}`;
}

export const wholeMoment = (at) => WHOLE.format(new Date(at * 1000));

export const kind = (text) => text.replaceAll('_', ' ');

export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;
