"""HubSpot's own client against the double: `judge URL` runs the checks, `read-back URL OBJECT PROPS`
prints every record of a type as one JSON line, in the order of the ids, `links URL FROM TO` what each is associated
with, and `own URL CONTACT COMPANY OTHER` does what our writer does about associations, for its requests to be compared."""

import json
import sys
import time

from hubspot import HubSpot
from hubspot.crm import objects, properties
from hubspot.crm.associations import v4


def client(url):
    return HubSpot(access_token="pat-na1-judge", host=url)


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def refused(status, category, call):
    try:
        call()
    except Exception as error:  # each part of the client has an ApiException of its own
        kinds = {kind.__name__ for kind in type(error).__mro__}
        expect("ApiException" in kinds, repr(error))
        body = json.loads(error.body)
        expect(error.status == status, f"{error.status} {error.body}")
        expect(body["category"] == category, error.body)
        expect(body["status"] == "error" and body["correlationId"], error.body)
        return body
    raise AssertionError(f"{status} {category} was expected")


def row(email, trace, **values):
    return objects.SimplePublicObjectBatchInputUpsert(
        id_property="email", id=email, object_write_trace_id=trace, properties=values
    )


def upsert(api, rows):
    batch = objects.BatchInputSimplePublicObjectBatchInputUpsert(inputs=rows)
    return api.crm.objects.batch_api.upsert("contacts", batch)


def describe(api):
    known = {one.name: one for one in api.crm.properties.core_api.get_all("contacts").results}
    expect(known["email"].type == "string", known["email"])
    expect(known["lifecyclestage"].options[0].value == "subscriber", known["lifecyclestage"])
    expect(known["createdate"].modification_metadata.read_only_value, known["createdate"])
    made = api.crm.properties.core_api.create(
        "contacts",
        properties.PropertyCreate(
            name="plan_tier", label="Plan", type="enumeration", field_type="select",
            group_name="contactinformation",
            options=[
                properties.OptionInput(label=name, value=name, hidden=False, display_order=-1)
                for name in ("Free", "Professional")
            ],
        ),
    )
    expect(made.name == "plan_tier" and not made.hubspot_defined, made)
    expect(api.crm.properties.core_api.get_by_name("contacts", "plan_tier").label == "Plan", made)


def upserts(api):
    answer = upsert(api, [row(f"user-{n}@x.io", f"row-{n}", firstname=f"U{n}") for n in range(100)])
    traces = {one.object_write_trace_id: one for one in answer.results}
    expect(len(traces) == 100 and answer.status == "COMPLETE", answer)
    expect(all(one.new for one in answer.results), answer)
    expect(traces["row-7"].properties["firstname"] == "U7", traces["row-7"])
    answer = upsert(api, [
        row("USER-7@x.io", "a", plan_tier="Professional"),
        row("user-8@x.io", "b", plan_tier="Gold"),
    ])
    expect(type(answer).__name__.endswith("WithErrors") and answer.num_errors == 1, answer)
    expect(answer.results[0].id == traces["row-7"].id and not answer.results[0].new, answer)
    error = answer.errors[0]
    expect(error.context["objectWriteTraceId"] == ["b"], error)
    expect(error.category == "VALIDATION_ERROR", error)
    return traces["row-7"].id


def refusals(api):
    body = refused(400, "VALIDATION_ERROR", lambda: upsert(api, [row("a@x.io", "1"), row("a@x.io", "2")]))
    expect(body["context"]["ids"] == ["a@x.io"], body)
    refused(400, "VALIDATION_ERROR", lambda: upsert(api, [row("a@x.io", "1", nothing="1")]))
    refused(400, "VALIDATION_ERROR", lambda: upsert(api, [row(f"{n}@x.io", f"{n}") for n in range(101)]))
    refused(404, "OBJECT_NOT_FOUND", lambda: api.crm.contacts.basic_api.get_by_id("1"))
    again = objects.SimplePublicObjectInputForCreate(properties={"email": "user-7@x.io"})
    refused(409, "CONFLICT", lambda: api.crm.objects.basic_api.create("contacts", again))


def batches(api):
    batch = api.crm.objects.batch_api
    made = batch.create("companies", objects.BatchInputSimplePublicObjectBatchInputForCreate(inputs=[
        objects.SimplePublicObjectBatchInputForCreate(properties={"name": name}) for name in ("A", "B")
    ]))
    expect(len(made.results) == 2, made)
    ids = [one.id for one in made.results]
    changed = batch.update("companies", objects.BatchInputSimplePublicObjectBatchInput(inputs=[
        objects.SimplePublicObjectBatchInput(id=ids[0], properties={"city": "Rom"})
    ]))
    expect(changed.results[0].properties["city"] == "Rom", changed)
    read = batch.read("companies", objects.BatchReadInputSimplePublicObjectId(
        properties=["name", "city"], properties_with_history=[],
        inputs=[objects.SimplePublicObjectId(id=one) for one in ids + ["7"]],
    ))
    expect(len(read.results) == 2 and read.errors[0].category == "OBJECT_NOT_FOUND", read)
    batch.archive("companies", objects.BatchInputSimplePublicObjectId(
        inputs=[objects.SimplePublicObjectId(id=ids[1])]
    ))
    refused(404, "OBJECT_NOT_FOUND", lambda: api.crm.companies.basic_api.get_by_id(ids[1]))
    return ids[0]


def singles(api):
    basic = api.crm.objects.basic_api
    made = basic.create(
        "deals", objects.SimplePublicObjectInputForCreate(properties={"dealname": "Big", "amount": "5"})
    )
    changed = basic.update("deals", made.id, objects.SimplePublicObjectInput(properties={"amount": "7.5"}))
    expect(changed.properties["amount"] == "7.5", changed)
    basic.archive("deals", made.id)
    refused(404, "OBJECT_NOT_FOUND", lambda: basic.get_by_id("deals", made.id))


def search(api):
    request = objects.PublicObjectSearchRequest(
        filter_groups=[{"filters": [{"propertyName": "firstname", "operator": "EQ", "value": "U7"}]}],
        properties=["email"], limit=10,
    )
    deadline = time.monotonic() + 20
    while True:  # the index lags behind the writes
        found = api.crm.objects.search_api.do_search("contacts", request)
        if found.total:
            break
        expect(time.monotonic() < deadline, "search never saw the contact")
        time.sleep(0.3)
    expect(found.results[0].properties["email"] == "user-7@x.io", found)


def associate(api, contact, company):
    made = api.crm.associations.v4.batch_api.create("contacts", "companies", v4.BatchInputPublicAssociationMultiPost(
        inputs=[v4.PublicAssociationMultiPost(
            _from=v4.PublicObjectId(id=contact), to=v4.PublicObjectId(id=company),
            types=[v4.AssociationSpec(association_category="HUBSPOT_DEFINED", association_type_id=279)],
        )]
    ))
    expect(made.results[0].from_object_id == contact, made)
    page = api.crm.associations.v4.basic_api.get_page("contacts", contact, "companies")
    expect(page.results[0].to_object_id == company, page)
    expect(page.results[0].association_types[0].type_id == 279, page)
    both = api.crm.associations.v4.schema.definitions_api.get_all("contacts", "companies")
    expect({one.type_id for one in both.results} == {279, 1}, both)


def pair(contact, company, *types):
    return v4.PublicAssociationMultiPost(
        _from=v4.PublicObjectId(id=contact), to=v4.PublicObjectId(id=company),
        types=[v4.AssociationSpec(association_category=one, association_type_id=two) for one, two in types],
    )


def own(url, contact, company, other):
    batch = client(url).crm.associations.v4.batch_api

    def look():
        batch.get_page("contacts", "companies", v4.BatchInputPublicFetchAssociationsBatchRequest(
            inputs=[v4.PublicFetchAssociationsBatchRequest(id=contact)]
        ))

    def create(company, type_id):
        batch.create("contacts", "companies", v4.BatchInputPublicAssociationMultiPost(
            inputs=[pair(contact, company, ("HUBSPOT_DEFINED", type_id))]
        ))

    look()
    create(company, 279)
    look()
    create(company, 1)
    look()
    batch.archive_labels("contacts", "companies", v4.BatchInputPublicAssociationMultiPost(
        inputs=[pair(contact, company, ("HUBSPOT_DEFINED", 1))]
    ))
    look()
    batch.archive("contacts", "companies", v4.BatchInputPublicAssociationMultiArchive(
        inputs=[v4.PublicAssociationMultiArchive(
            _from=v4.PublicObjectId(id=contact), to=[v4.PublicObjectId(id=company)]
        )]
    ))
    create(other, 279)


def custom(api, company):
    """Labels and objects of the account's own."""
    labels = api.crm.associations.v4.schema.definitions_api
    made = labels.create("contacts", "companies", v4.schema.PublicAssociationDefinitionCreateRequest(
        label="Decision maker", name="decision_maker", inverse_label="Decides here",
    )).results
    expect([one.label for one in made] == ["Decision maker", "Decides here"], made)
    known = {one.label: one for one in labels.get_all("contacts", "companies").results}
    expect(known["Decision maker"].category == "USER_DEFINED", known)
    schemas = api.crm.schemas.core_api
    found = schemas.get_all().results
    expect([one.name for one in found] == ["license"], found)
    expect(found[0].required_properties == ["key"], found)
    one = schemas.get_by_id("p_license")
    expect(one.object_type_id == found[0].object_type_id == "2-1000001", one)
    key = objects.SimplePublicObjectInputForCreate(properties={"key": "k1"})
    made = api.crm.objects.basic_api.create("p_license", key)
    kind = api.crm.associations.v4.schema.definitions_api.get_all("p_license", "companies").results[0]
    api.crm.associations.v4.batch_api.create("p_license", "companies", v4.BatchInputPublicAssociationMultiPost(
        inputs=[pair(made.id, company, (kind.category, kind.type_id))]
    ))
    page = api.crm.associations.v4.basic_api.get_page("p_license", made.id, "companies")
    expect(page.results[0].to_object_id == company, page)
    empty = objects.SimplePublicObjectInputForCreate(properties={})
    refused(400, "VALIDATION_ERROR", lambda: api.crm.objects.basic_api.create("p_license", empty))


def judge(url):
    api = client(url)
    describe(api)
    contact = upserts(api)
    refusals(api)
    company = batches(api)
    singles(api)
    associate(api, contact, company)
    custom(api, company)
    search(api)
    everyone = api.crm.contacts.get_all(properties=["email"])
    expect(len(everyone) == 100, f"{len(everyone)} contacts")
    refused(401, "INVALID_AUTHENTICATION", lambda: HubSpot(host=url).crm.contacts.basic_api.get_page())
    print("the client is content")


def read_back(url, kind, names):
    api, after = client(url), None
    while True:
        page = api.crm.objects.basic_api.get_page(kind, limit=100, after=after, properties=names)
        for one in page.results:
            print(json.dumps({"id": one.id, "properties": one.properties}, ensure_ascii=False))
        if not page.paging:
            return
        after = page.paging.next.after


def links(url, kind, other):
    api = client(url)
    for one in api.crm.objects.basic_api.get_page(kind, limit=100).results:
        page = api.crm.associations.v4.basic_api.get_page(kind, one.id, other)
        to = [[to.to_object_id, [kind.type_id for kind in to.association_types]] for to in page.results]
        print(json.dumps({"id": one.id, "to": to}))


if __name__ == "__main__":
    if sys.argv[1] == "judge":
        judge(sys.argv[2])
    elif sys.argv[1] == "links":
        links(*sys.argv[2:])
    elif sys.argv[1] == "own":
        own(*sys.argv[2:])
    else:
        read_back(sys.argv[2], sys.argv[3], [name for name in sys.argv[4].split(",") if name])
