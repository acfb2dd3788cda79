# Who works here, as Zendesk users; leavers are suspended. Sourced by example.sh.
schema=hris

simulators() {
    simulate zendesk --option 'field=users:department:text;users:manager:text;users:office:text'
}

# A user whom nobody here has made: it stays as it is.
prepare() {
    curl -fsS -u 'agent@acme.example/token:simulator' -H 'Content-Type: application/json' -d '{"user":{"name":"A customer","email":"kim@customer.example"}}' \
        "$ZENDESK_BASE_URL/api/v2/users" >/dev/null || die 'no user'
    good 'one user is there already, made by hand'
}

first_run() {
    local code=0
    show outflow run -s employees_to_zendesk || code=$?
    ((code == 4)) || die "the guard of the first run let it pass, with $code"
    (($(stat_of writes "$ZENDESK_BASE_URL") == 1)) || die 'something was sent'
    good 'the first run waits for somebody to look at its plan'
    show outflow plan -s employees_to_zendesk --out "$work/plan.outflow"
    show outflow apply "$work/plan.outflow"
}

check() {
    heading 'Checking every user' 'All users of the simulated Zendesk against the warehouse, field by field, in SQL.'
    compare "$root/tests/demo/examples/employees.sql" users="$ZENDESK_BASE_URL"
}

changes() { show psql -X -q -v ON_ERROR_STOP=1 -f "$root/sql/examples/employees_changes.sql" "$ADMIN_URL"; }

afterwards() {
    good "$(grep -c '"suspended":true' "$work/users.records") leavers are suspended, and nobody is deleted"
    heading 'A load that went wrong' 'Half of the people are not in the table for an hour: the guard stops the run before its first request.'
    local code=0 before
    before=$(stat_of writes "$ZENDESK_BASE_URL")
    warehouse -c "update hris.workers set employment_status = 'loading' where employee_id % 2 = 0 and employment_status = 'active'"
    show outflow run -s employees_to_zendesk || code=$?
    ((code == 4)) || die "the run ended with $code"
    (($(stat_of writes "$ZENDESK_BASE_URL") == before)) || die 'somebody was suspended'
    good 'nobody is suspended'
    warehouse -c "update hris.workers set employment_status = 'active' where employment_status = 'loading'"
    again || die 'the run after the load failed'
    (($(stat_of writes "$ZENDESK_BASE_URL") == before)) || die 'something was sent'
}
