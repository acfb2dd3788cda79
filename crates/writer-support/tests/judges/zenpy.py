"""zenpy, unmodified, against the double: `judge` runs the checks, `read-back` prints every user by id as one JSON line."""

import json
import sys
import time

from zenpy import Zenpy
from zenpy.lib.api_objects import Organization, Ticket, Comment, User
from zenpy.lib.exception import APIException, RecordNotFoundException


def client(token="secret"):
    return Zenpy(subdomain="acme", email="agent@x.io", token=token)


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def ended(api, job):
    deadline = time.monotonic() + 20
    while job.status not in ("completed", "failed", "killed"):
        expect(time.monotonic() < deadline, job.status)
        time.sleep(0.05)
        job = api.job_status(id=job.id)
    return job


def rows(job):
    """Result rows as zenpy shows them: objects with the members that came."""
    return [one if isinstance(one, dict) else vars(one) for one in job.results]


def users(api):
    many = [User(name=f"U{n}", email=f"u{n}@x.io", external_id=f"E{n}") for n in range(100)]
    job = ended(api, api.users.create_or_update(many))
    expect(job.status == "completed" and len(job.results) == 100, job.to_dict())
    expect(all(one["status"] == "Created" for one in rows(job)), rows(job)[0])
    one = api.users.create_or_update(User(name="U7 again", email="U7@x.io", external_id="e7"))
    expect(one.name == "U7 again" and one.external_id == "e7", one.to_dict())
    bad = ended(api, api.users.create_or_update([User(name="ok", email="ok@x.io"), User(name="x", email="x_")]))
    expect(sorted(row["status"] for row in rows(bad)) == ["Created", "Failed"], rows(bad))
    found = list(api.users(external_ids=["E1", "E2"]))
    expect({user.external_id for user in found} == {"E1", "E2"}, found)
    found[0].suspended = True
    expect(api.users.update(found[0]).suspended, "suspended")
    api.users.delete(found[1])
    try:
        api.users(id=found[1].id)
    except (RecordNotFoundException, APIException):
        pass
    else:
        raise AssertionError("a deleted user is shown")
    expect(len(list(api.users())) == 100, "users are listed in pages")


def organizations(api):
    made = api.organizations.create_or_update(Organization(name="Acme", external_id="O1", notes="n"))
    again = api.organizations.create_or_update(Organization(name="Acme Inc", external_id="O1"))
    expect(made.id == again.id and again.name == "Acme Inc", again.to_dict())
    job = ended(api, api.organizations.create([Organization(name="Bolt"), Organization(name="Core")]))
    expect(sorted(row["index"] for row in rows(job)) == [0, 1], rows(job))
    expect({one.name for one in api.organizations()} == {"Acme Inc", "Bolt", "Core"}, "listed")


def tickets(api):
    audit = api.tickets.create(Ticket(subject="s", comment=Comment(body="b"), external_id="T1"))
    ticket = audit.ticket
    ticket.priority = "high"
    api.tickets.update(ticket)
    expect(api.tickets(id=ticket.id).priority == "high", "changed")
    job = ended(api, api.tickets.create([Ticket(subject="1", comment=Comment(body="b")), Ticket(subject="2", comment=Comment(body="b"))]))
    expect(len(job.results) == 2, job.results)


def judge():
    api = client()
    users(api)
    organizations(api)
    tickets(api)
    expect(list(api.user_fields())[0].key == "plan", "fields are listed")
    try:
        list(client(token="wrong").users())
    except APIException:
        pass
    else:
        raise AssertionError("a wrong token was taken")
    print("the client is content")


def read_back():
    for user in client().users():
        fields = user.to_dict()
        print(json.dumps({"id": user.id, "email": user.email, "name": user.name, "user_fields": fields.get("user_fields")}, ensure_ascii=False))


def write():
    """One call of each kind, for the comparison of requests."""
    api = client()
    api.users.create_or_update([User(name="Ada", email="ada@x.io", external_id="E1")])
    api.organizations.update([Organization(id=7, name="Acme")])


if __name__ == "__main__":
    {"judge": judge, "read-back": read_back, "write": write}[sys.argv[1]]()
