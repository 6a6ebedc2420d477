import { Key } from 'interface-datastore';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openDatastore } from '../../src/network/datastore.ts';
import { createIdentity } from '../../src/network/index.ts';
import { createNode, type Node } from '../../src/network/libp2p.ts';
import { MAX_RECORD_BYTES, MAX_RECORDS } from '../../src/network/options.ts';
import { waitFor } from '../fixtures/wait.ts';
import { bytes, codeOfRejection, text } from './harness.ts';

const test = suite('network: records');
const nodes: Node[] = [];
test.after.each(async () => {
  for (const node of nodes.splice(0)) await node.stop();
});

const records = { validators: { duxtest: async () => undefined }, selectors: { duxtest: () => 0 } };

async function start(networkId: string): Promise<Node> {
  const { privateKey } = await createIdentity();
  const { store } = await openDatastore(null);
  const listen = ['/ip4/127.0.0.1/tcp/0'];
  const node = await createNode({
    privateKey,
    networkId,
    datastore: store,
    listen,
    transport: 'tcp',
    records,
  });
  nodes.push(node);
  await node.start();
  return node;
}

async function valueAt(node: Node, key: string): Promise<string | undefined> {
  let value: string | undefined;
  const signal = AbortSignal.timeout(5000);
  for await (const event of node.services.dht.get(bytes(key), { signal }))
    if (event.name === 'VALUE') value = text(event.value);
  return value;
}

async function put(node: Node, key: string, value: Uint8Array): Promise<void> {
  const signal = AbortSignal.timeout(5000);
  for await (const event of node.services.dht.put(bytes(key), value, { signal })) assert.ok(event.name);
}

test('a record put by one of three nodes is read by another', async () => {
  const [a, b, c] = [await start('net-1'), await start('net-1'), await start('net-1')];
  await b.dial(a.getMultiaddrs());
  await c.dial(a.getMultiaddrs());
  assert.is(a.services.dht.getMode(), 'server');
  assert.ok(a.getProtocols().includes('/duxnet/net-1/kad/1.0.0'));
  const size = (node: Node) =>
    (node.services.dht as unknown as { routingTable: { size: number } }).routingTable.size;
  await waitFor(() => [a, b, c].every(node => size(node) > 0), 'routing tables');
  await put(b, '/duxtest/key', bytes('value'));
  assert.is(await valueAt(c, '/duxtest/key'), 'value');
});

test('the store refuses large records and long keys, and nothing else', async () => {
  const { store } = await openDatastore(null);
  const large = new Uint8Array(MAX_RECORD_BYTES + 1);
  assert.is(
    await codeOfRejection((async () => store.put(new Key('/dht/record/a'), large))()),
    'MESSAGE_TOO_LARGE',
  );
  const long = new Key(`/dht/record/${'k'.repeat(600)}`);
  assert.is(await codeOfRejection((async () => store.put(long, bytes('v')))()), 'MESSAGE_TOO_LARGE');
  await store.put(new Key('/dht/record/a'), large.subarray(1));
  await store.put(new Key('/peers/a'), large);
});

test('the oldest record goes when there are too many', async () => {
  const { store } = await openDatastore(null);
  for (let i = 0; i <= MAX_RECORDS; i++) await store.put(new Key(`/dht/record/${i}`), bytes('v'));
  assert.not.ok(await store.has(new Key('/dht/record/0')));
  assert.ok(await store.has(new Key('/dht/record/1')));
  assert.ok(await store.has(new Key(`/dht/record/${MAX_RECORDS}`)));
});

test.run();
