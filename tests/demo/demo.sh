#!/usr/bin/env bash
# The demo: a million usage events in a private PostgreSQL, one row per user, to a simulated HubSpot with HubSpot's
# limits. It checks itself, and removes everything it started, also on Ctrl-C.
#
#   tests/demo/demo.sh            KEEP=1: leave everything running at the end, until Ctrl-C
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tests/demo/stage.sh
KEEP=${KEEP:-}

sync=product_usage_to_hubspot
users=50000 refused=4 changed=1000
landing=$((users - refused))
calls_max=$(((landing + 99) / 100 * 102 / 100))

# ---- 1, 2: what is needed ---------------------------------------------------------------------------------------------
set_up product-usage
# Contacts alone: the whole example, with companies and Mixpanel, is `make demo NAME=product-usage`.
rm "$work/project/syncs/"{accounts_to_hubspot,product_usage_to_mixpanel}.yml
sed -i '/^  associations\./d' "$work/project/syncs/product_usage_to_hubspot.yml"

# ---- 3: the warehouse -------------------------------------------------------------------------------------------------
heading 'Starting the warehouse' "A private PostgreSQL in a temporary folder, on a free port of 127.0.0.1; $users users, a million usage events."
start_warehouse sql/examples/product_usage.sql
good "$(warehouse -c "select format('%s accounts, %s users, %s events, %s',
    (select count(*) from product.accounts), (select count(*) from product.users),
    (select count(*) from product.usage_events), pg_size_pretty(pg_database_size(current_database())))")"

make_login product

# ---- 4: the simulator -------------------------------------------------------------------------------------------------
heading 'Starting the simulated HubSpot' "With HubSpot's own limits: 100 rows a call, 190 calls in any 10 seconds."
properties='plan_tier:enumeration:Free|Professional|Enterprise
    monthly_revenue:number weekly_active_days:number lifetime_events:number last_seen_on:date product_admin:bool
    product_user_id:string:unique usage_summary:string record_source_tool:string synced_at:datetime'
custom=$(printf 'contacts:%s;' $properties)
simulate hubspot --option "property=$custom"
export HUBSPOT_TOKEN=simulator
hubspot_stat() { stat_of "$1" "$HUBSPOT_BASE_URL"; }

cd "$work/project"

# ---- 5, 6: before anything is sent --------------------------------------------------------------------------------------
heading 'Checking the project' 'The files, then the mapping against the live columns and the live HubSpot properties.'
show outflow validate --online || die 'the project is not valid'

heading 'Planning' 'What a run would send, to the row. Nothing is sent.'
show outflow plan -s "$sync" || die 'the plan failed'
[[ $(hubspot_stat writes) == 0 ]] || die 'planning wrote to HubSpot'

# ---- 7: run one ---------------------------------------------------------------------------------------------------------
heading 'Run 1, the first load' "$users rows, $landing of them land. HubSpot's limit makes this about half a minute."
(
    until (($(hubspot_stat rows_written || echo 0) > 0)); do sleep 0.2; done
    clock >"$work/first_row"
) 2>/dev/null &
watcher_pid=$!
began=$SECONDS
show outflow run -s "$sync" --metrics-textfile "$work/metrics" || die 'the first run failed'
wait "$watcher_pid" || true
watcher_pid=''
cp "$work/metrics/outflow_$sync.prom" "$work/first.prom" || die 'no metrics were written'
first_writes=$(hubspot_stat writes)
good "first synced row $(<"$work/first_row") after the start of this demo; this run took $((SECONDS - began)) s"
good "$first_writes write calls, $(hubspot_stat throttled) of them refused with 429, at most $(hubspot_stat max_in_10s) calls in any 10 s"
((first_writes <= calls_max)) || die "$first_writes write calls are more than $calls_max"

# ---- 8, 9, 10: what changed, and nothing ----------------------------------------------------------------------------------
heading 'An hour later' "$changed users change in the warehouse."
show psql -X -q -v ON_ERROR_STOP=1 -f "$root/sql/examples/product_usage_changes.sql" "$ADMIN_URL"
good "$(warehouse -c "select count(*) || ' users with a new updated_at' from product.users where updated_at > now() - interval '5 minutes'")"

heading 'Run 2, what changed' 'Only rows at or after the watermark are read, and only changed payloads are sent.'
show outflow run -s "$sync" --metrics-textfile "$work/metrics" || die 'the second run failed'
second_writes=$(($(hubspot_stat writes) - first_writes))
good "$second_writes write calls"
((second_writes <= changed * 102 / 10000)) || die "$second_writes write calls for $changed rows"

heading 'Run 3, nothing changed' 'The lookback reads the last rows again; the ledger knows them, so nothing is sent.'
before=$(hubspot_stat writes)
show outflow run -s "$sync" --metrics-textfile "$work/metrics" || die 'the third run failed'
third_writes=$(($(hubspot_stat writes) - before))
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
while kill -0 "${simulator_pids[0]}" 2>/dev/null; do sleep 1; done
die 'the simulator stopped' "$work/hubspot.log"
