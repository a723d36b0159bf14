// Signing in: the token goes to the proxy once, which sets a cookie that no script can read.
import { html, useState } from './vendor/bundle.js';
import { signIn } from './api.js';
import { Field } from './ui.js';

export function SignIn() {
  const [problem, setProblem] = useState('');
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    setProblem('');
    try {
      await signIn(new FormData(event.target).get('token'));
    } catch (error) {
      setProblem(error.message);
    }
    setBusy(false);
  };
  return html`<main class="signin"><h1>shadowproxy</h1>
    <form onSubmit=${submit}>
      <${Field} name="token" label="Token" type="password" required autofocus hint="One of admin.tokens in the configuration. Viewers read, operators change." />
      ${problem && html`<p class="notice fail" role="alert">${problem}</p>`}
      <button class="primary" type="submit" disabled=${busy}>Sign in</button>
    </form></main>`;
}
