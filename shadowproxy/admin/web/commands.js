// What a person has a rollout do: the same commands as `shadowproxy rollout …`, by the same API.
import { html } from './vendor/bundle.js';
import { changes, post } from './api.js';
import { percent } from './format.js';
import { Action } from './ui.js';

/** The name of the present part, such as `ramp 25%`. */
export const part = (rollout) => rollout.steps.find((step) => step.state === 'now')?.stage ?? rollout.stage;

const command = (rollout, action) => async (values) => {
  const { override, ...rest } = values;
  const body = { ...rest, attempt: rollout.attempt || undefined };
  if (override) body.override = { until: override };
  if (body.full !== undefined) body.full = body.full === 'true';
  if (action === 'promote') body.stage = part(rollout); // out of the part that was looked at: of two people one is told
  if (body.stage === '') delete body.stage;
  const answer = await post(`/api/v1/rollout/${action}?service=${encodeURIComponent(rollout.service)}`, body);
  changes.value++;
  return answer;
};

const said = (answer) => `attempt ${answer.attempt} is ${answer.phase.replaceAll('_', ' ')}, ${percent(answer.weight)} to the candidate`;

const isFrozen = (rollout) => rollout.holds.some((hold) => hold.reason === 'freeze');

const override = (rollout) =>
  isFrozen(rollout) ? [{ name: 'override', label: 'Override the freeze for (empty: do not)', hint: 'Such as 2h; it takes a reason, and a freeze that permits it.' }] : [];

/** Ends an attempt, or takes a promoted rollout back. Always on the screen. */
export function AbortButton({ rollout }) {
  if (rollout.phase === 'promoted') return html`<${Action} always danger label="Roll back" title=${`Roll back ${rollout.name}`} confirm="Roll back now"
    explain="All users are with the primary within a second. Nothing holds this up." act=${command(rollout, 'rollback')} done=${said} />`;
  const over = !['running', 'pending'].includes(rollout.phase);
  if (over) return html`<button type="button" class="danger" disabled title=${`attempt ${rollout.attempt} is over: all users are with the primary`}>Abort</button>`;
  return html`<${Action} always danger label="Abort" title=${`Abort ${rollout.name}`} confirm="Abort now"
    explain="All users are with the primary within a second, and the attempt is over. Nothing holds this up." act=${command(rollout, 'abort')} done=${said} />`;
}

/** Everything that applies now. */
export function Commands({ rollout }) {
  const holds = new Set(rollout.holds.map((hold) => hold.reason));
  const isRunning = rollout.phase === 'running';
  const stages = rollout.stages.filter(Boolean);
  return html`<div class="commands">
    ${rollout.phase === 'pending' && html`<${Action} label="Start" explain="The first stage begins." fields=${override(rollout)} act=${command(rollout, 'start')} done=${said} />`}
    ${isRunning && holds.has('approval') && html`<${Action} label="Approve" explain=${`${part(rollout)} is over, the next part begins.`} act=${command(rollout, 'approve')} done=${said} />`}
    ${isRunning && !holds.has('operator') && html`<${Action} label="Pause" explain="Nothing advances until somebody resumes. Checks that fail still send users back." act=${command(rollout, 'pause')} done=${said} />`}
    ${isRunning && ['operator', 'primary_changed', 'sample_ratio', 'slow_burn', 'timeout', 'freeze'].some((hold) => holds.has(hold)) &&
    html`<${Action} label="Resume" explain="What a person may let go of is let go." fields=${override(rollout)} act=${command(rollout, 'resume')} done=${said} />`}
    ${isRunning && html`<${Action} label="Promote" title="Promote: go on without waiting" confirm="Promote"
      explain=${`Without waiting for the bake, its evidence or an approval. Next: ${rollout.next.replaceAll('`', '')}`}
      fields=${[{ name: 'full', label: 'How far', options: [{ value: 'false', label: 'to the next part' }, { value: 'true', label: 'all users, for good' }] }, ...override(rollout)]}
      act=${command(rollout, 'promote')} done=${said} />`}
    ${isRunning && html`<${Action} danger label="Roll back" confirm="Roll back now" explain="All users are with the primary within a second." act=${command(rollout, 'rollback')} done=${said} />`}
    ${(['rolled_back', 'aborted'].includes(rollout.phase) || holds.has('failed')) && html`<${Action} label="Retry" explain="A new attempt begins."
      fields=${[{ name: 'stage', label: 'From', options: [{ value: '', label: 'the first stage' }, ...stages] }, ...override(rollout)]} act=${command(rollout, 'retry')} done=${said} />`}
  </div>`;
}

const watching = (rollout, action) => (values) => {
  changes.value++;
  return post(`/api/v1/watch?service=${encodeURIComponent(rollout.service)}`, { action, ...values });
};

/** Who supervises, and how that is taken and given. */
export function Watch({ rollout }) {
  const { watch } = rollout;
  return html`<div class="commands">
    ${!watch.holder && html`<${Action} small label="Hold the watch" explain=${`It lapses after ${watch.ttl} s unless it is renewed: by 'shadowproxy watch', or with the button again.`} act=${watching(rollout, 'hold')} done="You hold the watch" />`}
    ${watch.holder && html`<${Action} small label="Renew" act=${watching(rollout, 'renew')} done="The watch is renewed" />
      <${Action} small label="Hand over" fields=${[{ name: 'to', label: 'To', required: true, hint: "A token's name." }]} act=${watching(rollout, 'handover')} />
      <${Action} small label="Release" act=${watching(rollout, 'release')} done="Nobody holds the watch" />`}
  </div>`;
}
