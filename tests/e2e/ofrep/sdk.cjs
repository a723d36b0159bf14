// Asks for flags as a service or a page would: `node sdk.cjs server|web URL TOKEN`, one line of JSON for each step.
const [mode, url, token] = process.argv.slice(2);
const say = (what) => console.log(JSON.stringify(what));
const headers = token ? { Authorization: `Bearer ${token}` } : {};

async function server() {
  const { OpenFeature } = require("@openfeature/server-sdk");
  const { OFREPProvider } = require("@openfeature/ofrep-provider");
  await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl: url, headers: Object.entries(headers) }));
  const client = OpenFeature.getClient();
  const ann = { targetingKey: "ann", email: "ann@x.com" };
  say(await client.getBooleanDetails("new-checkout", true, ann));
  say(await client.getStringDetails("banner", "mine", ann));
  say(await client.getNumberDetails("limit", 7, ann));
  say(await client.getObjectDetails("layout", {}, ann));
  say(await client.getBooleanDetails("nobody", true, ann));
  say(await client.getBooleanDetails("off", true, ann));
  await OpenFeature.close();
}

async function web() {
  const { EventSource } = require("eventsource");
  globalThis.EventSource = EventSource;
  const { OpenFeature, ProviderEvents } = require("@openfeature/web-sdk");
  const { OFREPWebProvider } = require("@openfeature/ofrep-web-provider");
  await OpenFeature.setContext({ targetingKey: "ann", email: "ann@x.com" });
  const provider = new OFREPWebProvider({ baseUrl: url, headers: Object.entries(headers), pollInterval: 0 });
  await OpenFeature.setProviderAndWait(provider);
  const client = OpenFeature.getClient();
  say({ ready: client.getBooleanDetails("new-checkout", true), banner: client.getStringValue("banner", "mine") });
  const changed = new Promise((resolve) => client.addHandler(ProviderEvents.ConfigurationChanged, resolve));
  const late = new Promise((resolve) => setTimeout(resolve, 10000));
  await Promise.race([changed, late]);
  say({ changed: client.getBooleanDetails("new-checkout", true) });
  await OpenFeature.close();
}

(mode === "web" ? web() : server()).then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
