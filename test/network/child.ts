import { createIdentity, createNetwork } from '../../src/network/index.ts';
import { noMetrics, silentLogger, systemClock } from '../../src/util/index.ts';

/** A node in a process of its own: prints its address; `leave` on its standard input stops the node, and nothing else ends the process. */
async function main(): Promise<void> {
  const { privateKey } = await createIdentity();
  const network = createNetwork(
    { clock: systemClock, logger: silentLogger, metrics: noMetrics },
    {
      privateKey,
      networkId: 'test-net',
      datastoreDir: process.argv[2] ?? null,
      listen: ['/ip4/127.0.0.1/tcp/0'],
      bootstrap: process.argv.slice(3),
      transport: 'tcp',
    },
  );
  network.serve(
    'hang',
    { maxBytes: 100, rate: 10, burst: 10, deadlineMs: 60_000 },
    () => new Promise(() => undefined),
  );
  await network.start();
  process.stdout.write(`${network.addresses()[0]}\n`);
  process.stdin.once('data', async () => {
    process.stdin.destroy();
    await network.stop();
    process.stdout.write('stopped\n');
  });
}

await main();
