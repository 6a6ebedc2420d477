import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { joinAddresses } from '../../src/node/bootstrap.ts';
import { loadConfig } from '../../src/node/index.ts';
import { codeOf } from '../../src/util/index.ts';

const test = suite('node: whom to join');
const config = loadConfig({ env: {}, flags: { 'network.bootstrap': ['/ip4/10.0.0.2/tcp/1'] } });

async function withList(text: string, use: (file: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'duxnode-bootstrap-'));
  try {
    const file = join(dir, 'bootstrap-peers.json');
    await writeFile(file, text);
    await use(file);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

test('flags, configuration and list, each address once, the list’s with its network', async () => {
  await withList('{"network":"bafyx","peers":["/ip4/10.0.0.3/tcp/1"]}', async file => {
    const addresses = await joinAddresses({ join: ['/ip4/10.0.0.2/tcp/1'], config, bootstrapFile: file });
    assert.equal(addresses, ['/ip4/10.0.0.2/tcp/1', '/ip4/10.0.0.3/tcp/1#bafyx']);
  });
});

test('a list that is none is named', async () => {
  for (const text of ['', '[]', '{"peers":["x"],"network":null}', '{"network":null,"peers":[],"more":1}'])
    await withList(text, async file => {
      const code = await joinAddresses({ join: [], config, bootstrapFile: file }).then(() => null, codeOf);
      assert.is(code, 'BOOTSTRAP_INVALID', text);
    });
});

test.run();
