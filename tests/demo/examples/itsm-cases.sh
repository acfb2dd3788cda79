# Incidents to Salesforce cases, each with the contact who reported it. Sourced by example.sh.
schema=itsm
missing=10 # callers who are nobody's contact yet

simulators() { simulate salesforce; }

# The contacts are there already: sales has made them, not outflow.
contacts() { # condition
    warehouse -c "select jsonb_build_object('allOrNone', false, 'records', jsonb_agg(record)) from (
        select jsonb_build_object('attributes', jsonb_build_object('type', 'Contact'), 'External_Id__c', sys_id, 'FirstName', first_name,
            'LastName', last_name, 'Email', email) as record, (row_number() over (order by sys_id) - 1) / 200 as call
        from itsm.sys_user where $1) as made group by call" >"$work/contacts.json" || die 'no contacts'
    local call
    while IFS= read -r call; do
        curl -fsS -X PATCH -H 'Authorization: Bearer simulator' -H 'Content-Type: application/json' -d "$call" \
            "$SALESFORCE_BASE_URL/services/data/v62.0/composite/sobjects/Contact/External_Id__c" >"$work/contacts.answer" || die 'no contacts'
        ! grep -q '"success":false' "$work/contacts.answer" || die 'a contact was refused' "$work/contacts.answer"
    done <"$work/contacts.json"
}
prepare() {
    contacts "substr(split_part(email, '@', 1), 7)::integer % 30 <> 0"
    good "$(records Contact "$SALESFORCE_BASE_URL" | grep -c '^{') contacts are there already; $missing callers have none"
}

check() {
    heading 'Checking every case' 'All cases of the simulated Salesforce against the warehouse, field by field, in SQL.'
    compare "$root/tests/demo/examples/itsm-cases.sql" Case="$SALESFORCE_BASE_URL" Contact="$SALESFORCE_BASE_URL"
}

changes() {
    show psql -X -q -v ON_ERROR_STOP=1 -f "$root/sql/examples/itsm_cases_changes.sql" "$ADMIN_URL"
    contacts "substr(split_part(email, '@', 1), 7)::integer % 30 = 0"
    good "the $missing callers are contacts now: their cases come by themselves"
}
