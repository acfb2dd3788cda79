"""simple-salesforce, unmodified, against whatever stands at the address (it speaks TLS only)."""
import json
import sys

from simple_salesforce import Salesforce, SalesforceMalformedRequest, SalesforceMoreThanOneRecord
from simple_salesforce import SalesforceResourceNotFound


def main(url, what):
    sf = Salesforce(instance_url=url, session_id="token", version="62.0")
    if what == "read-back":
        query = "SELECT External_Id__c, LastName, FirstName, Description FROM Contact ORDER BY External_Id__c"
        for record in sf.query_all(query)["records"]:
            record.pop("attributes")
            print(json.dumps(record))
        return
    if what == "record":
        sf.restful("composite/sobjects/Contact/External_Id__c", method="PATCH", data=json.dumps({
            "allOrNone": False, "records": [{"attributes": {"type": "Contact"}, "External_Id__c": "S-1", "LastName": "Kim"}]}))
        rows = [{"External_Id__c": "B-1", "LastName": "say \"hi\", you", "FirstName": "#N/A"},
                {"External_Id__c": "B-2", "LastName": "line\nline", "FirstName": "Lee"}]
        results = sf.bulk2.Contact.upsert(records=rows, external_id_field="External_Id__c", wait=0)
        assert results[0]["numberRecordsFailed"] == 0, results
        return
    made = sf.Contact.create({"LastName": "Zoë", "External_Id__c": "S-1", "Score__c": 1.5})
    assert made["success"], made
    assert sf.Contact.get(made["id"])["LastName"] == "Zoë"
    assert sf.Contact.update(made["id"], {"FirstName": "Ada"}) == 204
    assert sf.Contact.upsert("External_Id__c/S-1", {"LastName": "Kim"}) == 200
    assert sf.Contact.upsert("External_Id__c/S-2", {"LastName": "Lee"}) == 201
    assert sf.Contact.get_by_custom_id("External_Id__c", "S-2")["LastName"] == "Lee"
    assert sf.Contact.delete(made["id"]) == 204
    names = [field["name"] for field in sf.Contact.describe()["fields"]]
    assert "External_Id__c" in names and "LastName" in names
    assert any(each["name"] == "Account" for each in sf.describe()["sobjects"])
    assert sf.limits()["DailyApiRequests"]["Max"] > 0
    for wrong, error in [({"FirstName": "x"}, "REQUIRED_FIELD_MISSING"), ({"LastName": "x", "Nope__c": 1}, "INVALID_FIELD"),
                         ({"LastName": "x", "Score__c": "many"}, "JSON_PARSER_ERROR")]:
        try:
            sf.Contact.create(wrong)
            raise AssertionError(f"taken: {wrong}")
        except SalesforceMalformedRequest as refused:
            assert refused.content[0]["errorCode"] == error, refused.content
    try:
        sf.Contact.get("003000000000999AAA")
        raise AssertionError("found")
    except SalesforceResourceNotFound:
        pass
    sf.Contact.create({"LastName": "a", "Email": "same@example.com"})
    sf.Contact.create({"LastName": "b", "Email": "same@example.com"})
    try:
        sf.Contact.upsert("Email/same@example.com", {"LastName": "c"})
        raise AssertionError("one of two was chosen")
    except SalesforceMoreThanOneRecord:
        pass
    rows = [{"External_Id__c": f"B-{n}", "LastName": f"Kim, \"{n}\""} for n in range(2500)]
    results = sf.bulk2.Contact.upsert(records=rows, external_id_field="External_Id__c", wait=0)
    assert sum(each["numberRecordsProcessed"] for each in results) == 2500, results
    job = results[0]["job_id"]
    assert sf.bulk2.Contact.get_successful_records(job).count("\n") == 2501
    assert len(sf.query_all("SELECT Id FROM Contact WHERE External_Id__c LIKE 'B-%'")["records"]) == 2500
    print("the client is content")


main(sys.argv[1], sys.argv[2])
