// node-zendesk, unmodified, against the double.
const zendesk = require('node-zendesk');

const expect = (condition, what) => { if (!condition) throw new Error(JSON.stringify(what)); };

async function ended(client, answer) {
  let status = (answer.result || answer).job_status || answer.result || answer;
  for (let tries = 0; !['completed', 'failed', 'killed'].includes(status.status); tries += 1) {
    expect(tries < 200, status);
    await new Promise((done) => setTimeout(done, 50));
    const shown = await client.jobstatuses.show(status.id);
    status = (shown.result || shown).job_status || shown.result || shown;
  }
  return status;
}

async function main(url) {
  const client = zendesk.createClient({ username: 'agent@x.io', token: 'secret', endpointUri: `${url}/api/v2` });
  const users = Array.from({ length: 120 }, (_, n) => ({ name: `N${n}`, email: `n${n}@x.io`, external_id: `N${n}` }));
  const first = await ended(client, await client.users.createOrUpdateMany({ users: users.slice(0, 100) }));
  expect(first.results.length === 100 && first.results.every((row) => row.status === 'Created'), first);
  await ended(client, await client.users.createMany({ users: users.slice(100) }));
  const listed = await client.users.list();
  expect(listed.length === 120, listed.length);
  const one = await client.users.createOrUpdate({ user: { name: 'again', external_id: 'n7' } });
  expect((one.result || one).name === 'again', one);
  const made = await client.organizations.create({ organization: { name: 'Acme', external_id: 'O1' } });
  expect((made.result || made).external_id === 'O1', made);
  const ticket = await client.tickets.create({ ticket: { subject: 's', comment: { body: 'b' } } });
  expect((ticket.result || ticket).subject === 's', ticket);
  let refused = false;
  try { await client.users.create({ user: { name: 'x', email: 'n1@x.io' } }); } catch (error) { refused = /422/.test(String(error)); }
  expect(refused, 'a taken address was not refused with 422');
  console.log('the client is content');
}

main(process.argv[2]).catch((error) => { console.error(error); process.exit(1); });
