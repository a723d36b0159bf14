# Flags that may be changed, in a file of their own.
mkdir -p data && cp config/flags.json . && cat > shadowproxy.yaml <<'YAML'
data_dir: data
flags: {file: flags.json}
upstreams:
  primary: {urls: ["http://127.0.0.1:9001"]}
YAML
shadowproxy demo-shop --rate 10 >>background.log 2>&1 &
shadowproxy run shadowproxy.yaml >>background.log 2>&1 &
until_ready shadowproxy health --ready
until_ready shadowproxy flags list
