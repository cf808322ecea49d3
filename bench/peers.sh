#!/usr/bin/env bash
# The relays that Realms is measured against, all on 127.0.0.1.
#   peers.sh install [NAME...]              from Debian, PyPI and npm, into $BENCH_HOME (default ~/.cache/realms-bench)
#   peers.sh has NAME                       succeeds when it is installed
#   peers.sh run NAME PORT UPSTREAM FOLDER  becomes that peer; FOLDER is for its files
# Names: nginx haproxy litellm portkey
set -eu
home=${BENCH_HOME:-$HOME/.cache/realms-bench}
here=$(cd "$(dirname "$0")" && pwd)
LITELLM='litellm[proxy]==1.106.2'
PORTKEY='@portkey-ai/gateway@1.15.2'
PORTKEY_SERVER=node_modules/@portkey-ai/gateway/build/start-server.js

install() {
  case $1 in
    nginx) apt-get install -y --no-install-recommends nginx-light ;;
    haproxy) apt-get install -y --no-install-recommends haproxy ;;
    litellm) python3 -m venv "$home/litellm" && "$home/litellm/bin/pip" install -q "$LITELLM" ;;
    portkey) npm install --silent --no-audit --no-fund --prefix "$home/portkey" "$PORTKEY" ;;
  esac
}

has() {
  case $1 in
    litellm) test -x "$home/litellm/bin/litellm" ;;
    portkey) test -e "$home/portkey/$PORTKEY_SERVER" ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

run() {
  file=$(ls "$here/peers/$1."*)
  filled=$4/$(basename "$file")
  sed "s#@PORT@#$2#g;s#@UPSTREAM@#$3#g;s#@FOLDER@#$4#g" "$file" >"$filled"
  case $1 in
    nginx) exec nginx -e "$4/nginx.err" -c "$filled" ;;
    haproxy) exec haproxy -db -f "$filled" ;;
    litellm)
      export LITELLM_LOG=ERROR LITELLM_LOCAL_MODEL_COST_MAP=True
      exec "$home/litellm/bin/litellm" --config "$filled" --host 127.0.0.1 --port "$2" --num_workers 1 --telemetry False
      ;;
    portkey)
      export NODE_ENV=production TRUSTED_CUSTOM_HOSTS=127.0.0.1
      exec node --import "$filled" "$home/portkey/$PORTKEY_SERVER" "--port=$2" --headless
      ;;
  esac
}

case ${1:-} in
  install)
    shift
    mkdir -p "$home"
    for name in "${@:-nginx haproxy litellm portkey}"; do for one in $name; do has "$one" || install "$one"; done; done
    ;;
  has) has "$2" ;;
  run) run "$2" "$3" "$4" "$5" ;;
  *) sed -n 2,6p "$0" ;;
esac
