# What demo.sh and example.sh share: how they speak, and what they start and stop again. Sourced from the repository's root.
# BUILT is the folder of the programs, where they are built already.
root=$PWD
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$HOME/.cache/outflow-target}

# ---- words ----------------------------------------------------------------------------------------------------------
bold='' dim='' green='' red='' plain=''
if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
    bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
fi
step=0
heading() { # title, explanation
    step=$((step + 1))
    printf '\n%s%d. %s%s  %s%s%s\n' "$bold" "$step" "$1" "$plain" "$dim" "$(clock)" "$plain"
    printf '%s   %s%s\n' "$dim" "$2" "$plain"
}
clock() { printf '%02d:%02d' $((SECONDS / 60)) $((SECONDS % 60)); }
good() { printf '   %sok%s %s\n' "$green" "$plain" "$1"; }
die() { # message, log file
    printf '\n%sThe demo failed:%s %s\n' "$red" "$plain" "$1" >&2
    if [[ -n ${2:-} && -s ${2:-} ]]; then
        printf -- '--- the end of its log ---\n' >&2
        tail -n 30 "$2" >&2
    fi
    exit 1
}
show() { # runs a command and shows it first, with addresses as a reader would write them
    local shown=$*
    shown=${shown//"${ADMIN_URL:-no address yet}"/'"$ADMIN_URL"'}
    shown=${shown//"$root/"/}
    printf '   $ %s\n' "${shown//"$work"/\$DEMO}"
    "$@"
}

# ---- what is started is also stopped ----------------------------------------------------------------------------------
work='' simulator_pids=() watcher_pid=''
cleanup() {
    trap '' INT TERM
    local pid
    for pid in $watcher_pid "${simulator_pids[@]}" ${POSTGRES_PID:-}; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    [[ -z $work ]] || rm -rf "$work"
}
trap cleanup EXIT
trap 'printf "\nStopping and cleaning up.\n" >&2; exit 130' INT
trap 'exit 143' TERM HUP

set_up() { # the project's folder below examples/
    heading 'Setting up' 'What is missing is installed; what is here is left alone.'
    tests/demo/setup.sh compiler postgresql curl
    good 'a C compiler, PostgreSQL and curl are here'

    if [[ -z ${BUILT:-} ]]; then
        heading 'Building outflow' "Once; cargo keeps what it builds in $CARGO_TARGET_DIR."
        cargo build --locked -p outflow -p support
        BUILT=$CARGO_TARGET_DIR/debug
    fi
    # Debian's own `psql` in PATH is a wrapper that looks for clusters; the program itself lies beside `initdb`.
    local postgres_bin
    postgres_bin=$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tail -n 1 || true)
    PATH=$BUILT:${postgres_bin:+$postgres_bin:}$PATH
    export PGCLIENTENCODING=UTF8
    good "$(outflow --version)"

    work=$(mktemp -d "${TMPDIR:-/tmp}/outflow-demo.XXXXXX")
    cp -R "examples/$1" "$work/project"
    mkdir "$work/metrics"
}

start_warehouse() { # file to load, variables for psql
    coproc POSTGRES { exec private-postgres 2>"$work/postgres.log"; }
    # The names of a finished coproc vanish; these stay.
    [[ -n ${POSTGRES[0]-} ]] || die 'PostgreSQL did not start' "$work/postgres.log"
    exec {postgres_out}<&"${POSTGRES[0]}"
    IFS= read -r -t 60 -u "$postgres_out" ADMIN_URL || die 'PostgreSQL did not start' "$work/postgres.log"
    local file=$1
    shift
    warehouse "$@" -f "$file" >"$work/load.log" 2>&1 || die 'the warehouse could not be loaded' "$work/load.log"
}
warehouse() { psql -X -q -A -t -v ON_ERROR_STOP=1 "$@" "$ADMIN_URL"; }

make_login() { # schema
    heading 'Making a login that can only read' 'outflow never needs more than SELECT; sql/warehouse/role.sql is the recipe for your warehouse, too.'
    OUTFLOW_ROLE_PASSWORD=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n') || die 'no random password'
    export OUTFLOW_ROLE_PASSWORD
    show psql -X -q -v role=outflow_reader -v schemas="$1" -f "$root/sql/warehouse/role.sql" "$ADMIN_URL" >"$work/role.log" 2>&1 ||
        die 'the role could not be made' "$work/role.log"
    head -n 1 "$work/role.log"
    export WAREHOUSE_URL=postgres://outflow_reader:$OUTFLOW_ROLE_PASSWORD@${ADMIN_URL#*@}
    good 'outflow_reader'
}

simulate() { # vendor, its options; its address is in $address, and in ${VENDOR}_BASE_URL for the project
    local vendor=$1
    shift
    outflow simulate "$vendor" --port 0 --limits vendor "$@" >"$work/$vendor.url" 2>"$work/$vendor.log" &
    simulator_pids+=($!)
    local _
    for _ in {1..300}; do
        [[ -s $work/$vendor.url ]] && break
        kill -0 "${simulator_pids[-1]}" 2>/dev/null || die "the simulated $vendor did not start" "$work/$vendor.log"
        sleep 0.1
    done
    read -r _ address <"$work/$vendor.url" || die "the simulated $vendor did not start" "$work/$vendor.log"
    export "${vendor^^}_BASE_URL=$address"
    good "$address"
}
stat_of() { curl -fsS "$2/_sim/stats" | grep -o "\"$1\":[0-9]*" | head -n 1 | cut -d: -f2; } # name, address
records() { curl -fsS "$2/_sim/records/$1"; }                                                # object, address
