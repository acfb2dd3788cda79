"""python-intercom, unmodified, against the double: `judge` runs the checks, `read-back` prints every contact as one JSON
line, `write` makes one call of each kind for the comparison of requests."""

import json
import sys
import time

from intercom import (
    CreateContactRequestWithEmail,
    CreateContactRequestWithExternalId,
    CreateOrUpdateCompanyRequest,
    CreateOrUpdateTagRequest,
    Intercom,
    SingleFilterSearchRequest,
)
from intercom.core.api_error import ApiError


def client(url, token="tok"):
    return Intercom(token=token, base_url=url)


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def refused(status, code, call):
    try:
        call()
    except ApiError as error:
        body = error.body if isinstance(error.body, dict) else json.loads(error.body.json())
        expect(error.status_code == status and body["errors"][0]["code"] == code, f"{error.status_code} {body}")
        return body["errors"][0]["message"]
    raise AssertionError(f"{status} {code} was expected")


def judge(url):
    api = client(url)
    made = api.contacts.create(request=CreateContactRequestWithEmail(email="ada@x.io", name="Ada"))
    expect(made.type == "contact" and made.role == "user" and made.email == "ada@x.io", made)
    text = refused(409, "conflict", lambda: api.contacts.create(request=CreateContactRequestWithEmail(email="ADA@x.io")))
    expect(text.endswith("id=" + made.id), text)
    changed = api.contacts.update(made.id, external_id="E1", custom_attributes={"plan": "pro"})
    expect(changed.custom_attributes["plan"] == "pro", changed)
    expect(api.contacts.show_contact_by_external_id("E1").id == made.id, "found by its external id")
    refused(400, "parameter_invalid", lambda: api.contacts.update(made.id, custom_attributes={"nothing": 1}))
    deadline = time.monotonic() + 20
    query = SingleFilterSearchRequest(field="email", operator="=", value="ada@x.io")
    while not list(api.contacts.search(query=query)):
        expect(time.monotonic() < deadline, "search never saw the contact")
        time.sleep(0.3)
    company = api.companies.create_or_update(request=CreateOrUpdateCompanyRequest(company_id="C1", name="Acme", monthly_spend=12))
    again = api.companies.create_or_update(request=CreateOrUpdateCompanyRequest(company_id="C1", name="Acme Inc"))
    expect(company.id == again.id and again.name == "Acme Inc", again)
    expect(api.companies.attach_contact(made.id, company_id=company.id).id == company.id, "linked")
    expect([one.id for one in api.companies.list()] == [company.id], "listed")
    tag = api.tags.create(request=CreateOrUpdateTagRequest(name="vip"))
    expect(api.tags.tag_contact(made.id, tag_id=tag.id).name == "vip", "tagged")
    expect([one.name for one in api.tags.list().data] == ["vip"], "tags are listed")
    names = [one.name for one in api.data_attributes.list(model="contact").data]
    expect("plan" in names, names)
    archived = api.contacts.archive(made.id)
    expect(archived.archived, archived)
    text = refused(409, "conflict", lambda: api.contacts.create(request=CreateContactRequestWithExternalId(external_id="E1")))
    expect("archived" in text, text)
    expect(not api.contacts.unarchive(made.id).archived, "unarchived")
    expect(api.contacts.delete(made.id).deleted, "deleted")
    refused(404, "not_found", lambda: api.contacts.find(made.id))
    refused(401, "unauthorized", lambda: client(url, token="wrong").contacts.list())
    print("the client is content")


def read_back(url):
    for one in client(url).contacts.list(per_page=50):
        shown = {"id": one.id, "email": one.email, "name": one.name, "custom_attributes": one.custom_attributes}
        print(json.dumps(shown, ensure_ascii=False))


def write(url):
    api = client(url)
    api.contacts.create(request=CreateContactRequestWithEmail(email="ada@x.io", name="Ada"))
    api.companies.create_or_update(request=CreateOrUpdateCompanyRequest(company_id="C1", name="Acme", size=3))


if __name__ == "__main__":
    {"judge": judge, "read-back": read_back, "write": write}[sys.argv[1]](sys.argv[2])
