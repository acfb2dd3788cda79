#!/usr/bin/env bash
# One of the examples from end to end: a private PostgreSQL with the example's warehouse, the simulated tools it writes to, a first
# load, a run without changes, an hour of changes. After each the tools' records are compared with the warehouse, in SQL.
#
#   tests/demo/example.sh NAME            KEEP=1: leave everything running at the end, until Ctrl-C
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tests/demo/stage.sh

name=${1:-}
if [[ ! -f tests/demo/examples/$name.sh ]]; then
    echo "example.sh: there is no example '$name'; there are: $(cd examples && echo *)" >&2
    exit 64
fi

# What an example says about itself; see tests/demo/examples.
load=()           # variables of psql for its warehouse
simulators() { :; } # starts them
prepare() { :; }    # what is in the tools already
first_run() { show outflow run --all; }
changes() { :; }    # the next hour
again() { show outflow run --all; }
afterwards() { :; } # more to see
. "tests/demo/examples/$name.sh"

addresses() { cat "$work"/*.url | awk '{print $2}'; }
writes() { # write calls of all tools together
    local address sum=0
    for address in $(addresses); do sum=$((sum + $(stat_of writes "$address"))); done
    echo "$sum"
}
# Loads the records of a tool's object into the session of a comparison: `\copy`, one JSON object a line.
compare() { # file of SQL, then OBJECT=ADDRESS: each becomes a table `held_OBJECT` with one column `record`
    local file=$1 script="$work/compare.sql" one object address counts line expected found equal what
    shift
    printf '%s\n' 'set client_min_messages = warning;' >"$script"
    for one in "$@"; do
        object=${one%%=*} address=${one#*=}
        curl -fsS "$address/_sim/records/$object" | sed -n 's/,$//; /^{/p' >"$work/$object.records" || die "the $object could not be read"
        printf 'create temp table held_%s (record jsonb);\n' "$object" >>"$script"
        printf "\\\\copy held_%s from '%s' with (format csv, delimiter E'\\\\x02', quote E'\\\\x01')\n" "$object" "$work/$object.records" >>"$script"
    done
    cat "$file" >>"$script"
    counts=$(warehouse -F '|' -f "$script" 2>"$work/compare.log") || die 'the comparison failed' "$work/compare.log"
    [[ -n $counts ]] || die 'the comparison says nothing'
    while IFS='|' read -r what expected found equal; do
        [[ $expected == "$found" && $found == "$equal" && $expected -gt 0 ]] ||
            die "$what: $expected expected, $found found, $equal of them equal"
        good "$what: $equal of $expected are exactly what the mapping makes of the warehouse"
    done <<<"$counts"
}

set_up "$name"

heading 'Starting the warehouse' 'A private PostgreSQL in a temporary folder, on a free port of 127.0.0.1.'
start_warehouse "sql/examples/${name//-/_}.sql" ${load[@]+"${load[@]}"}
good "$(warehouse -c "select string_agg(format('%s in %s', reltuples, oid::regclass), ', ' order by relname)
    from pg_class where relnamespace = '$schema'::regnamespace and relkind = 'r'")"
make_login "$schema"

heading 'Starting the simulated tools' "With their vendors' own limits."
simulators
prepare
cd "$work/project"

heading 'Checking the project' 'The files, then the mappings against the live columns and fields.'
show outflow validate --online || die 'the project is not valid'

heading 'The first load' 'Every row.'
first_run || die 'the first run failed'
check

heading 'Nothing changed' 'The same again: nothing is sent.'
before=$(writes)
again || die 'the second run failed'
(($(writes) == before)) || die "the run made $(($(writes) - before)) write calls"
good '0 write calls'

heading 'The next hour' 'Rows change in the warehouse, and only they are sent.'
changes
again || die 'the third run failed'
check
afterwards

heading 'How it is doing' 'From the state in .outflow/.'
show outflow status
show outflow rejects ls

printf '\n%sDone in %s.%s\n' "$bold$green" "$(clock)" "$plain"
[[ -n ${KEEP:-} ]] || exit 0
cat <<TEXT

Everything keeps running until Ctrl-C, which removes it. In a second terminal:

    cd $work/project
    export WAREHOUSE_URL='$WAREHOUSE_URL'
    export ADMIN_URL='$ADMIN_URL'
$(env | grep _BASE_URL= | sed 's/^/    export /')
    export PATH='$CARGO_TARGET_DIR/debug':"\$PATH"
    outflow --help
TEXT
while kill -0 "${simulator_pids[0]}" 2>/dev/null; do sleep 1; done
die 'a simulator stopped'
