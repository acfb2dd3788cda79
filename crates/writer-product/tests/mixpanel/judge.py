# Mixpanel's own Python client in front of an address: what a program that knows nothing of outflow does.
import sys
from mixpanel import BufferedConsumer, Consumer, Mixpanel, MixpanelException, ServiceAccountCredentials

mode, url, token, project, user, secret = sys.argv[1:7]
people, groups, imports = url + "/engage", url + "/groups", url + "/import"


def client(consumer):
    kind = BufferedConsumer if consumer == "buffered" else Consumer
    more = {"max_size": 50} if consumer == "buffered" else {}
    account = ServiceAccountCredentials(user, secret, project)
    return kind(events_url=url + "/track", people_url=people, groups_url=groups, import_url=imports, credentials=account, **more)


def write(consumer):
    sink = client(consumer)
    mixpanel = Mixpanel(token, consumer=sink)
    if mode == "record":
        mixpanel.people_set("u1", {"$email": "ann@example.com", "$name": "Zoë \"Z\"", "plan": "pro", "score": 1.5, "active": True, "days": 7}, meta={"$ip": "0"})
        mixpanel.people_unset("u2", ["plan"], meta={"$ip": "0"})
        mixpanel.people_delete("u3", meta={"$ignore_alias": True})
        mixpanel.group_set("company", "c1", {"$name": "Acme", "seats": 20})
        mixpanel.import_data(None, "u1", "Order", 1700000000, {"$insert_id": "order-1", "total": 12.5})
    else:
        for n in range(120):
            mixpanel.people_set("py%d" % n, {"$name": "Name %d" % n, "plan": "pro"})
        mixpanel.people_unset("py1", ["plan"])
        mixpanel.people_delete("py2")
        mixpanel.group_set("company", "pyc", {"$name": "Py"})
        mixpanel.import_data(None, "py3", "Order", 1700000000, {"$insert_id": "py-order-1", "total": 3})
    if consumer == "buffered":
        sink.flush()


write("single" if mode == "record" else "buffered")
if mode == "judge":
    lone = client("single")
    try:
        Mixpanel(token, consumer=lone).people_set("", {"a": 1})
    except MixpanelException as refused:
        assert "Mixpanel error" in str(refused), refused
    else:
        raise AssertionError("an empty id was taken")
print("the client is content")
