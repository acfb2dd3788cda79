#!/usr/bin/env bash
# The demo: a million usage events in a private PostgreSQL, one row per user, to a simulated HubSpot with HubSpot's
# limits. It checks itself, and removes everything it started, also on Ctrl-C.
#
#   tests/demo/demo.sh            KEEP=1: leave everything running at the end, until Ctrl-C
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
root=$PWD
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$HOME/.cache/outflow-target}
KEEP=${KEEP:-}

sync=product_usage_to_hubspot
users=50000 refused=4 changed=1000
landing=$((users - refused))
calls_max=$(((landing + 99) / 100 * 102 / 100))

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
work='' simulator_pid='' watcher_pid=''
cleanup() {
    trap '' INT TERM
    [[ -z $watcher_pid ]] || kill "$watcher_pid" 2>/dev/null || true
    if [[ -n $simulator_pid ]]; then
        kill "$simulator_pid" 2>/dev/null || true
        wait "$simulator_pid" 2>/dev/null || true
    fi
    if [[ -n ${POSTGRES_PID:-} ]]; then
        local pid=$POSTGRES_PID
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    fi
    [[ -z $work ]] || rm -rf "$work"
}
trap cleanup EXIT
trap 'printf "\nStopping and cleaning up.\n" >&2; exit 130' INT
trap 'exit 143' TERM HUP

# ---- 1, 2: what is needed ---------------------------------------------------------------------------------------------
heading 'Setting up' 'What is missing is installed; what is here is left alone.'
tests/demo/setup.sh compiler postgresql curl
good 'a C compiler, PostgreSQL and curl are here'

heading 'Building outflow' "Once; cargo keeps what it builds in $CARGO_TARGET_DIR."
cargo build --locked -p outflow -p support
# Debian's own `psql` in PATH is a wrapper that looks for clusters; the program itself lies beside `initdb`.
postgres_bin=$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tail -n 1 || true)
PATH=$CARGO_TARGET_DIR/debug:${postgres_bin:+$postgres_bin:}$PATH
export PGCLIENTENCODING=UTF8
good "$(outflow --version)"

work=$(mktemp -d "${TMPDIR:-/tmp}/outflow-demo.XXXXXX")
cp -R examples/product-usage "$work/project"
mkdir "$work/metrics"

# ---- 3: the warehouse -------------------------------------------------------------------------------------------------
heading 'Starting the warehouse' "A private PostgreSQL in a temporary folder, on a free port of 127.0.0.1; $users users, a million usage events."
coproc POSTGRES { exec private-postgres 2>"$work/postgres.log"; }
# The names of a finished coproc vanish; these stay.
[[ -n ${POSTGRES[0]-} ]] || die 'PostgreSQL did not start' "$work/postgres.log"
exec {postgres_out}<&"${POSTGRES[0]}"
IFS= read -r -t 60 -u "$postgres_out" ADMIN_URL || die 'PostgreSQL did not start' "$work/postgres.log"
warehouse() { psql -X -q -A -t -v ON_ERROR_STOP=1 "$@" "$ADMIN_URL"; }
warehouse -f sql/examples/product_usage.sql >"$work/load.log" 2>&1 || die 'the warehouse could not be loaded' "$work/load.log"
good "$(warehouse -c "select format('%s accounts, %s users, %s events, %s',
    (select count(*) from product.accounts), (select count(*) from product.users),
    (select count(*) from product.usage_events), pg_size_pretty(pg_database_size(current_database())))")"


heading 'Making a login that can only read' 'outflow never needs more than SELECT; sql/warehouse/role.sql is the recipe for your warehouse, too.'
OUTFLOW_ROLE_PASSWORD=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n') || die 'no random password'
export OUTFLOW_ROLE_PASSWORD
show psql -X -q -v role=outflow_reader -v schemas=product -f "$root/sql/warehouse/role.sql" "$ADMIN_URL" >"$work/role.log" 2>&1 ||
    die 'the role could not be made' "$work/role.log"
head -n 1 "$work/role.log"
export WAREHOUSE_URL=postgres://outflow_reader:$OUTFLOW_ROLE_PASSWORD@${ADMIN_URL#*@}
good 'outflow_reader'

# ---- 4: the simulator -------------------------------------------------------------------------------------------------
heading 'Starting the simulated HubSpot' "With HubSpot's own limits: 100 rows a call, 190 calls in any 10 seconds."
properties='plan_tier:enumeration:Free|Professional|Enterprise
    monthly_revenue:number weekly_active_days:number lifetime_events:number last_seen_on:date product_admin:bool
    product_user_id:string:unique usage_summary:string record_source_tool:string synced_at:datetime'
custom=$(printf 'contacts:%s;' $properties)
outflow simulate hubspot --port 0 --limits vendor --option "property=$custom" >"$work/simulator.url" 2>"$work/simulator.log" &
simulator_pid=$!
for _ in {1..300}; do
    [[ -s $work/simulator.url ]] && break
    kill -0 "$simulator_pid" 2>/dev/null || die 'the simulator did not start' "$work/simulator.log"
    sleep 0.1
done
read -r _ HUBSPOT_BASE_URL <"$work/simulator.url" || die 'the simulator did not start' "$work/simulator.log"
export HUBSPOT_BASE_URL HUBSPOT_TOKEN=simulator
good "$HUBSPOT_BASE_URL"
stat_of() { curl -fsS "$HUBSPOT_BASE_URL/_sim/stats" | grep -o "\"$1\":[0-9]*" | head -n 1 | cut -d: -f2; }

cd "$work/project"

# ---- 5, 6: before anything is sent --------------------------------------------------------------------------------------
heading 'Checking the project' 'The files, then the mapping against the live columns and the live HubSpot properties.'
show outflow validate --online || die 'the project is not valid'

heading 'Planning' 'What a run would send, to the row. Nothing is sent.'
show outflow plan -s "$sync" || die 'the plan failed'
[[ $(stat_of writes) == 0 ]] || die 'planning wrote to HubSpot'

# ---- 7: run one ---------------------------------------------------------------------------------------------------------
heading 'Run 1, the first load' "$users rows, $landing of them land. HubSpot's limit makes this about half a minute."
(
    until (($(stat_of rows_written || echo 0) > 0)); do sleep 0.2; done
    clock >"$work/first_row"
) 2>/dev/null &
watcher_pid=$!
began=$SECONDS
show outflow run -s "$sync" --metrics-textfile "$work/metrics" || die 'the first run failed'
wait "$watcher_pid" || true
watcher_pid=''
cp "$work/metrics/outflow_$sync.prom" "$work/first.prom" || die 'no metrics were written'
first_writes=$(stat_of writes)
good "first synced row $(<"$work/first_row") after the start of this demo; this run took $((SECONDS - began)) s"
good "$first_writes write calls, $(stat_of throttled) of them refused with 429, at most $(stat_of max_in_10s) calls in any 10 s"
((first_writes <= calls_max)) || die "$first_writes write calls are more than $calls_max"

# ---- 8, 9, 10: what changed, and nothing ----------------------------------------------------------------------------------
heading 'An hour later' "$changed users change in the warehouse."
show psql -X -q -v ON_ERROR_STOP=1 -f "$root/sql/examples/product_usage_changes.sql" "$ADMIN_URL"
good "$(warehouse -c "select count(*) || ' users with a new updated_at' from product.users where updated_at > now() - interval '5 minutes'")"

heading 'Run 2, what changed' 'Only rows at or after the watermark are read, and only changed payloads are sent.'
show outflow run -s "$sync" --metrics-textfile "$work/metrics" || die 'the second run failed'
second_writes=$(($(stat_of writes) - first_writes))
good "$second_writes write calls"
((second_writes <= changed * 102 / 10000)) || die "$second_writes write calls for $changed rows"

heading 'Run 3, nothing changed' 'The lookback reads the last rows again; the ledger knows them, so nothing is sent.'
before=$(stat_of writes)
show outflow run -s "$sync" --metrics-textfile "$work/metrics" || die 'the third run failed'
third_writes=$(($(stat_of writes) - before))
((third_writes == 0)) || die "the third run made $third_writes write calls"
good '0 write calls'

# ---- 11 to 14: what an operator looks at --------------------------------------------------------------------------------
heading 'How it is doing' 'From the state in .outflow/.'
show outflow status
show outflow runs ls

heading 'The rows that did not land' "$refused rows cannot become contacts. Each is kept with stage, code, field and reason; none stopped another row."
show outflow rejects ls
printf '\n   Two of them: what outflow itself refused, and what only HubSpot could know.\n'
show outflow rejects show -s "$sync" --key 4242
show outflow rejects show -s "$sync" --key 31337 --reveal
show outflow explain R201
rejects=$(outflow rejects show -s "$sync" --output ndjson | grep -c '"stage":' || true)
((rejects == refused)) || die "$rejects rejects instead of $refused"

heading 'Metrics' 'A few of what run 1 left in a Prometheus textfile, as node_exporter reads it. Boards and alerts: dashboards/.'
grep -hE "^outflow_(rows_(read|unchanged|delivered|rejected)_total|rows_unaccounted|rejects_open|sync_status|run_last_duration_seconds|destination_requests_total|stage_busy_seconds_total)" \
    "$work/first.prom" | grep -v ' 0$' | sed -e "s/,\\?sync=\"$sync\"//" -e 's/{,/{/' -e 's/{}//' -e 's/^/   /' ||
    die 'no metrics were written'

heading 'One contact, read back from HubSpot' 'User 7, whose revenue went up between run 1 and run 2.'
email=$(warehouse -c 'select lower(btrim(email)) from product.users where user_id = 7')
printf '   $ curl -H "Authorization: Bearer $HUBSPOT_TOKEN" -d {... "id": "%s" ...} "$HUBSPOT_BASE_URL/crm/v3/objects/contacts/batch/read"\n   ' "$email"
curl -fsS -H 'Authorization: Bearer simulator' -H 'Content-Type: application/json' \
    -d "{\"idProperty\":\"email\",\"properties\":[\"email\",\"firstname\",\"lastname\",\"plan_tier\",\"monthly_revenue\",\"usage_summary\"],\"inputs\":[{\"id\":\"$email\"}]}" \
    "$HUBSPOT_BASE_URL/crm/v3/objects/contacts/batch/read" || die 'the contact could not be read'
printf '\n'

# ---- 15: does it all add up ---------------------------------------------------------------------------------------------
heading 'Checking every contact' 'All records of the simulated HubSpot against the warehouse, field by field, in SQL.'
counts=$(curl -fsS "$HUBSPOT_BASE_URL/_sim/records/contacts" |
    warehouse -F ' ' -v model="$(<models/user_usage.sql)" -f "$root/tests/demo/compare.sql") || die 'the comparison failed'
read -r expected found equal <<<"$counts"
[[ $expected == "$landing" && $found == "$landing" && $equal == "$landing" ]] ||
    die "$expected contacts expected, $found found, $equal of them equal"
good "$equal of $expected contacts are exactly what the mapping makes of the warehouse"

# ---- the end ------------------------------------------------------------------------------------------------------------
printf '\n%sDone in %s.%s The first row was in HubSpot after %s.\n' "$bold$green" "$(clock)" "$plain" "$(<"$work/first_row")"
if [[ -z $KEEP ]]; then
    cat <<TEXT

Everything this demo started is stopped and removed now. To play with it, let it run:

    make demo KEEP=1

Then, in the project's folder that it names: outflow preview, outflow plan, outflow rejects retry, outflow backfill,
outflow doctor, outflow explain $sync. With your own warehouse and HubSpot: README.md, "Quick start".
TEXT
    exit 0
fi
cat <<TEXT

Everything keeps running until Ctrl-C, which removes it. In a second terminal:

    cd $work/project
    export WAREHOUSE_URL='$WAREHOUSE_URL'
    export ADMIN_URL='$ADMIN_URL'
    export HUBSPOT_BASE_URL='$HUBSPOT_BASE_URL'
    export PATH='$CARGO_TARGET_DIR/debug':"\$PATH"

    psql "\$ADMIN_URL" -c "update product.users set first_name = 'Grace', updated_at = now() where user_id = 7"
    outflow plan -s $sync            # shows the one row
    outflow run -s $sync             # sends it
    outflow rejects ls               # mend a row in the warehouse, run again, and it is gone from here
    outflow preview -s $sync         # rows as they would be sent
    outflow backfill -s $sync --where 'user_id <= 500'
    outflow discover hubspot contacts
    outflow doctor
    outflow --help
    curl -s "\$HUBSPOT_BASE_URL/_sim/stats"
TEXT
while kill -0 "$simulator_pid" 2>/dev/null; do sleep 1; done
die 'the simulator stopped' "$work/simulator.log"
