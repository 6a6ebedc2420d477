import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { byTrying, type SandboxAttack, tried } from './lab.ts';
import { hostNetwork, natively, nativeRoot, unfiltered } from './native-weakenings.ts';
import { all, network, noSeccomp, rootWith } from './weakenings.ts';

const NO_DEVICE = 'a network namespace without devices (`NetworkMode: none`)';
const REFUSED = ['ECONNREFUSED', 'ENETUNREACH', 'EHOSTUNREACH'];

export const networkAttacks: readonly SandboxAttack[] = [
  {
    name: 'TCP to the Internet or to a metadata address; a name looked up',
    by: NO_DEVICE,
    attack: byTrying({
      internet: tried(`socket.create_connection(('1.1.1.1', 53), 2)`, 'ENETUNREACH'),
      internet6: tried(
        `socket.create_connection(('2606:4700:4700::1111', 53), 2)`,
        'ENETUNREACH',
        'EADDRNOTAVAIL',
      ),
      udp: tried(
        `socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('8.8.8.8', 53))`,
        'ENETUNREACH',
      ),
      metadata: tried(`socket.create_connection(('169.254.169.254', 80), 2)`, 'ENETUNREACH'),
      name: tried(`socket.getaddrinfo('example.org', 80)`, 'gaierror'),
    }),
    control: { notTried: 'not safe: it would call on strangers' },
  },
  {
    name: 'TCP to a port of this host',
    by: NO_DEVICE,
    async attack(lab) {
      const server = createServer(socket => socket.end());
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      try {
        const { port } = server.address() as AddressInfo;
        const code = `socket.create_connection(('127.0.0.1', ${port}), 5)`;
        return await byTrying({ host: tried(code, ...REFUSED) })(lab);
      } finally {
        server.close();
      }
    },
    control: { docker: network('host'), native: hostNetwork },
  },
  {
    name: 'UDP, as DNS uses it, to a port of this host',
    by: NO_DEVICE,
    async attack(lab) {
      const server = createSocket('udp4', (_, { port, address }) => server.send('answer', port, address));
      server.bind(0, '127.0.0.1');
      await once(server, 'listening');
      try {
        const code = `
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.connect(('127.0.0.1', ${server.address().port}))
s.send(b'question')
s.recv(9)`;
        return await byTrying({ host: tried(code, ...REFUSED) })(lab);
      } finally {
        server.close();
      }
    },
    control: { docker: network('host'), native: hostNetwork },
  },
  {
    name: 'raw and packet sockets',
    by: 'own user, no capabilities; packet sockets by seccomp too',
    attack: byTrying({
      raw: tried(`socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)`, 'EPERM'),
      packet: tried(`socket.socket(socket.AF_PACKET, socket.SOCK_RAW)`, 'EPERM'),
    }),
    control: { docker: all(noSeccomp, rootWith('NET_RAW')), native: natively(unfiltered, nativeRoot) },
  },
  {
    name: 'sockets of odd families: VSOCK (the hypervisor), the kernel’s ciphers',
    by: 'seccomp: four families only',
    attack: byTrying(
      {
        // A kernel that lacks the family says so itself: then nothing held the call back.
        vsock: tried(`reach(40, socket.SOCK_STREAM)`, 'EPERM'),
        cipher: tried(`reach(38, socket.SOCK_SEQPACKET)`, 'EPERM'),
      },
      `
def reach(family, kind):
    try: socket.socket(family, kind)
    except OSError as error:
        if error.errno != errno.EAFNOSUPPORT: raise`,
    ),
    control: { docker: noSeccomp, native: unfiltered },
  },
];
