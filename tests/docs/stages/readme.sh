# What the first page shows: a candidate with faults that users have met as copies, a rollout, flags. ID is a cause's.
mkdir -p data && cp config/flags.json . && cat > shadowproxy.yaml <<'YAML'
data_dir: data
flags: {file: flags.json}
upstreams:
  primary: {urls: ["http://127.0.0.1:9001"]}
  candidate: {urls: ["http://127.0.0.1:9002"]}
  secondary: {urls: ["http://127.0.0.1:9003"]}
rollout:
  name: checkout-v2
  stages:
    - {name: mirror, shadow: {sample: 100%}, bake: {for: 1h}}
    - {name: first users, canary: {weight: 10%}, bake: {for: 1h}}
YAML
sed 's/10%/5%/' shadowproxy.yaml > other.yaml
shadowproxy demo-shop --secondary 127.0.0.1:9003 --rate 400 >>background.log 2>&1 &
shadowproxy run shadowproxy.yaml >>background.log 2>&1 &
until_ready shadowproxy health --ready
until_ready shadowproxy rollout history
until_a_cause
