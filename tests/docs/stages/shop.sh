# A shop whose second version has faults, mirrored; users have been there. ID is a cause's.
mkdir -p data && cat > shadowproxy.yaml <<'YAML'
data_dir: data
upstreams:
  primary: {urls: ["http://127.0.0.1:9001"]}
  candidate: {urls: ["http://127.0.0.1:9002"]}
  secondary: {urls: ["http://127.0.0.1:9003"]}
YAML
shadowproxy demo-shop --secondary 127.0.0.1:9003 --rate 400 >>background.log 2>&1 &
shadowproxy run shadowproxy.yaml >>background.log 2>&1 &
until_ready shadowproxy health --ready
until_a_cause
