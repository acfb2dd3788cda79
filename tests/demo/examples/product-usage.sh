# Usage per user to HubSpot contacts of companies, and to Mixpanel profiles. Sourced by example.sh.
schema=product
load=(-v users=2000)

simulators() {
    local contacts='plan_tier:enumeration:Free|Professional|Enterprise monthly_revenue:number weekly_active_days:number
        lifetime_events:number last_seen_on:date product_admin:bool product_user_id:string:unique usage_summary:string
        record_source_tool:string synced_at:datetime'
    local companies='account_number:number:unique seats:number partner_account:bool customer_since:date'
    # The words of both lists are what is wanted here.
    # shellcheck disable=SC2086
    simulate hubspot --option "property=$(printf 'contacts:%s;' $contacts)$(printf 'companies:%s;' $companies)"
    simulate mixpanel
}

check() {
    heading 'Checking every record' "Contacts, companies and profiles against the warehouse, field by field, in SQL; and every contact's company."
    compare "$root/tests/demo/examples/product-usage.sql" contacts="$HUBSPOT_BASE_URL" companies="$HUBSPOT_BASE_URL" profiles="$MIXPANEL_BASE_URL"
    companies_of_contacts
}

# Who is in which company, as HubSpot says: a hundred contacts a call.
companies_of_contacts() {
    local from wrong
    sed 's/.*"id":"\([0-9]*\)".*"product_user_id":"\([^"]*\)".*/\1 \2/' "$work/contacts.records" >"$work/contacts.ids"
    sed 's/.*"id":"\([0-9]*\)".*"account_number":"\([^"]*\)".*/\1 \2/' "$work/companies.records" >"$work/companies.ids"
    : >"$work/links"
    for ((from = 1; from <= $(wc -l <"$work/contacts.ids"); from += 100)); do
        sed -n "$from,$((from + 99))p" "$work/contacts.ids" | awk '{printf "%s{\"id\":\"%s\"}", (NR > 1 ? "," : "{\"inputs\":["), $1} END {print "]}"}' |
            curl -fsS -H 'Authorization: Bearer simulator' -H 'Content-Type: application/json' -d @- \
                "$HUBSPOT_BASE_URL/crm/v4/associations/contacts/companies/batch/read" >>"$work/links" || die 'the associations could not be read'
        echo >>"$work/links"
    done
    wrong=$(warehouse <<SQL
create temp table contact (id text, user_uuid uuid);
\\copy contact from '$work/contacts.ids' with (delimiter ' ')
create temp table company (id text, account_id numeric);
\\copy company from '$work/companies.ids' with (delimiter ' ')
create temp table answer (body jsonb);
\\copy answer from '$work/links' with (format csv, delimiter E'\\x02', quote E'\\x01')
with primary_one as (
    select result -> 'from' ->> 'id' as contact, other ->> 'toObjectId' as company
    from answer, jsonb_array_elements(body -> 'results') as result, jsonb_array_elements(result -> 'to') as other
    where other -> 'associationTypes' @> '[{"label": "Primary"}]'
)
select count(*) filter (where company.account_id is distinct from users.account_id) || ' of ' || count(*)
from product.users
left join contact using (user_uuid)
left join primary_one on primary_one.contact = contact.id
left join company on company.id = primary_one.company;
SQL
    ) || die 'the associations could not be compared'
    [[ $wrong == '0 of 2000' ]] || die "$wrong contacts are in another company"
    good "the company of 2000 contacts is their account's"
}

changes() {
    show psql -X -q -v ON_ERROR_STOP=1 -f "$root/sql/examples/product_usage_changes.sql" "$ADMIN_URL"
    show psql -X -q -v ON_ERROR_STOP=1 -f "$root/sql/examples/product_usage_moves.sql" "$ADMIN_URL"
}
