// jsforce, unmodified, against whatever stands at the address: it writes, reads, lists and loads in bulk.
const assert = require('node:assert');
const { Connection } = require('@jsforce/jsforce-node');

async function main(url, what) {
  const conn = new Connection({ instanceUrl: url, accessToken: 'token', version: '62.0' });
  if (what === 'read-back') {
    const found = await conn.query("SELECT External_Id__c, LastName, FirstName, Description FROM Contact ORDER BY External_Id__c");
    for (const { attributes, ...record } of found.records) console.log(JSON.stringify(record));
    return;
  }
  const contacts = conn.sobject('Contact');
  const one = (list) => list.map((row) => { assert(row.success, JSON.stringify(row)); return row.id; });
  one(await conn.sobject('Account').upsert([{ External_Id__c: 'P-1', Name: 'Parent' }], 'External_Id__c'));
  const rows = [
    { External_Id__c: 'J-1', LastName: 'Zoë "Z", jr', FirstName: null, Score__c: 12.5, Account: { External_Id__c: 'P-1' } },
    { External_Id__c: 'J-2', LastName: '=1+1', FirstName: 'Lee', Score__c: -3, Account: { External_Id__c: 'P-1' } },
  ];
  const ids = one(await contacts.upsert(rows, 'External_Id__c'));
  one(await contacts.update(ids.map((Id) => ({ Id, Title: 'Dr' }))));
  one(await contacts.create([{ External_Id__c: 'J-3', LastName: 'New' }, { External_Id__c: 'J-4', LastName: 'Newer' }]));
  one(await contacts.destroy(ids));
  const read = await conn.retrieve('Contact', ids, { fields: ['Id', 'LastName'] });
  assert.deepStrictEqual(read, [null, null]);
  conn.bulk2.pollInterval = 50;
  const results = await conn.bulk2.loadAndWaitForResults({
    object: 'Contact', operation: 'upsert', externalIdFieldName: 'External_Id__c',
    input: [{ External_Id__c: 'B-1', LastName: 'say "hi", you', FirstName: null }, { External_Id__c: 'B-2', LastName: 'line\nline', FirstName: 'Lee' }],
  });
  assert.strictEqual(results.successfulResults.length, 2, JSON.stringify(results));
  if (what === 'record') return;
  // What no writer of ours does, and a client may.
  assert.strictEqual((await conn.query("SELECT Id FROM Contact WHERE LastName LIKE 'New%'")).totalSize, 2);
  assert.strictEqual((await conn.query("SELECT Id FROM Contact WHERE FirstName = null")).totalSize, 3);
  const described = await conn.describe('Contact');
  assert(described.fields.some((field) => field.name === 'External_Id__c' && field.externalId));
  assert((await conn.describeGlobal()).sobjects.some((object) => object.name === 'Case'));
  const bad = await contacts.upsert([{ External_Id__c: 'X-1', LastName: 'x'.repeat(81) }, { External_Id__c: 'X-2', LastName: 'ok', Plan__c: 'None' }], 'External_Id__c');
  assert.deepStrictEqual(bad.map((row) => row.errors[0].statusCode), ['STRING_TOO_LONG', 'INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST']);
  await assert.rejects(contacts.create([{ LastName: 'x', Nope__c: 1 }]), /INVALID_FIELD|No such column/);
  await assert.rejects(conn.sobject('Nope__c').describe(), /NOT_FOUND|does not exist/);
  const failed = await conn.bulk2.loadAndWaitForResults({ object: 'Contact', operation: 'insert', input: [{ LastName: 'Kim', Email: 'no address' }] });
  assert.match(failed.failedResults[0].sf__Error, /^INVALID_EMAIL_ADDRESS:/);
  assert.match((await conn.request('/')).identity, /\/id\/00D000000000001EAA\//);
  assert((await conn.limits()).DailyApiRequests.Max > 0);
  console.log('the client is content');
}

main(process.argv[2], process.argv[3]).catch((error) => { console.error(error); process.exit(1); });
