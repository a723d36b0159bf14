# A rollout that has just begun, with users who go on coming.
mkdir -p data && cat > shadowproxy.yaml <<'YAML'
data_dir: data
upstreams:
  primary: {urls: ["http://127.0.0.1:9001"]}
  candidate: {urls: ["http://127.0.0.1:9002"]}
rollout:
  name: checkout-v2
  stages:
    - {name: mirror, shadow: {sample: 100%}, bake: {for: 1s}}
    - {name: go, approve: {timeout: 12h}}
    - {name: first users, canary: {weight: 10%}, bake: {for: 1h}}
    - {name: all, progressive: {weights: [50%, 100%]}, bake: {for: 1h}}
YAML
sed 's/10%/5%/' shadowproxy.yaml > other.yaml
shadowproxy demo-shop --rate 50 >>background.log 2>&1 &
until_ready curl -sf -X POST http://127.0.0.1:9002/deploy/3
shadowproxy run shadowproxy.yaml >>background.log 2>&1 &
until_ready shadowproxy health --ready
until_ready shadowproxy rollout history
