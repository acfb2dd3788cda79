#!/usr/bin/env bash
# Installs what the demo and the tests need and this machine lacks, and says what it does.
#
#   setup.sh [compiler] [postgresql] [prometheus] [python] [curl] [request-tracker]
#
# On Debian and its relatives with apt-get; elsewhere it says what to install. Nothing that is already here is touched:
# no existing PostgreSQL cluster, no running service. New packages get no cluster and start no service.
set -euo pipefail

has() {
    case $1 in
        compiler) command -v cc >/dev/null ;;
        postgresql) command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null ;;
        prometheus) command -v prometheus >/dev/null && command -v promtool >/dev/null ;;
        python) python3 -c 'import ensurepip, venv' 2>/dev/null ;;
        request-tracker) [[ -x /usr/share/request-tracker5/libexec/rt-server ]] ;;
        curl) command -v curl >/dev/null ;;
        *) echo "setup.sh: unknown thing: $1" >&2; exit 64 ;;
    esac
}

package() {
    case $1 in
        compiler) echo build-essential ;;
        python) echo python3-venv ;;
        request-tracker) echo request-tracker5 rt5-db-sqlite rt5-standalone ;;
        *) echo "$1" ;;
    esac
}

# Without these the tests that need them say so and are left out.
optional() { [[ $1 == prometheus || $1 == python || $1 == request-tracker ]]; }

if ! command -v cargo >/dev/null; then
    echo 'cargo is missing: install Rust first, see https://rustup.rs' >&2
    exit 69
fi

missing=() packages=() required=0
for thing in "$@"; do
    if ! has "$thing"; then
        missing+=("$thing")
        read -ra more <<<"$(package "$thing")"
        packages+=("${more[@]}")
        optional "$thing" || required=1
    fi
done
((${#missing[@]})) || exit 0

give_up() {
    if ((required)); then
        echo "$1 Please install: ${packages[*]}" >&2
        exit 69
    fi
    echo "note: $1 Tests that need ${missing[*]} are left out." >&2
    exit 0
}

command -v apt-get >/dev/null || give_up 'There is no apt-get here.'
as_root=()
if ((EUID != 0)); then
    command -v sudo >/dev/null || give_up 'Installing needs root, and there is no sudo.'
    if [[ ! -t 0 ]] && ! sudo -n true 2>/dev/null; then give_up 'Installing needs root, and sudo wants a password.'; fi
    as_root=(sudo)
fi

printf 'Not here yet: %s. Installing with apt-get%s, which takes a minute: %s (no service is started, no cluster is made)\n' \
    "${missing[*]}" "${as_root[*]:+ through sudo}" "${packages[*]}"

# While apt-get runs: no database cluster (Debian's package would make `main`), no service. Both settings go again.
"${as_root[@]}" bash -euo pipefail -s -- "${packages[@]}" <<'ROOT'
added=()
undo() { ((${#added[@]})) && rm -f "${added[@]}"; rmdir /etc/postgresql-common/createcluster.d 2>/dev/null || true; }
trap undo EXIT
if [[ ! -e /usr/sbin/policy-rc.d ]]; then
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    added+=(/usr/sbin/policy-rc.d)
fi
if [[ " $* " == *' postgresql '* ]]; then
    mkdir -p /etc/postgresql-common/createcluster.d
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/outflow-setup.conf
    added+=(/etc/postgresql-common/createcluster.d/outflow-setup.conf)
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq || echo 'note: apt-get update failed; trying with the lists that are here' >&2
apt-get install -y -qq --no-install-recommends "$@" </dev/null >/dev/null
if [[ " $* " == *' prometheus '* ]] && command -v systemctl >/dev/null; then
    systemctl disable --quiet prometheus.service 2>/dev/null || true
fi
ROOT

for thing in "${missing[@]}"; do
    if ! has "$thing" && ! optional "$thing"; then
        echo "apt-get ran, but $thing is still missing." >&2
        exit 69
    fi
done
