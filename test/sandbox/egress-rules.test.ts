import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { addressProblem } from '../../src/sandbox/egress/address.ts';
import { endToEnd } from '../../src/sandbox/egress/forward.ts';
import { absoluteTarget, connectTarget, hostNotLent, lets } from '../../src/sandbox/egress/rules.ts';

const test = suite('sandbox: rules of allowed hosts');

test('a pattern lets to its host, to all below it, to its port or to those of the web', () => {
  const cases: [pattern: string, host: string, port: number, lets: boolean][] = [
    ['example.org', 'example.org', 443, true],
    ['example.org', 'example.org', 80, true],
    ['example.org', 'example.org', 25, false],
    ['example.org', 'www.example.org', 443, false],
    ['example.org', 'badexample.org', 443, false],
    ['*.example.org', 'a.b.example.org', 443, true],
    ['*.example.org', 'example.org', 443, false],
    ['*.example.org', 'badexample.org', 443, false],
    ['example.org:8443', 'example.org', 8443, true],
    ['example.org:8443', 'example.org', 443, false],
    ['*', 'anything.test', 443, true],
    ['*', 'anything.test', 22, false],
  ];
  for (const [pattern, host, port, expected] of cases)
    assert.is(lets([pattern], host, port), expected, `${pattern} ${host}:${port}`);
  assert.is(lets([], 'example.org', 443), false);
  assert.is(lets(['a.test', 'b.test'], 'b.test', 80), true);
});

test('what is asked must be within what is lent, host and port', () => {
  const cases: [asked: string, lent: string[], covered: boolean][] = [
    ['a.example.org', ['*.example.org'], true],
    ['*.a.example.org', ['*.example.org'], true],
    ['*.example.org', ['*.example.org'], true],
    ['*.example.org', ['example.org'], false],
    ['*.example.org', ['*.a.example.org'], false],
    ['example.org', ['*.example.org'], false],
    ['example.org:443', ['example.org'], true],
    ['example.org', ['example.org:443'], false],
    ['example.org:8443', ['*'], false],
    ['example.org:8443', ['*', 'example.org:8443'], true],
    ['*.org', ['*'], true],
  ];
  for (const [asked, lent, covered] of cases)
    assert.is(hostNotLent([asked], lent), covered ? undefined : asked, `${asked} of ${lent}`);
  assert.is(hostNotLent([], []), undefined);
  assert.is(hostNotLent(['a.test', 'b.test'], ['a.test']), 'b.test');
});

test('only public addresses outside of this machine’s networks may be connected to', () => {
  const own = ['8.8.4.1/24', '2a00:1450::1/64'];
  for (const address of ['93.184.216.34', '1.1.1.1', '8.8.5.1', '2606:4700::1111'])
    assert.is(addressProblem(address, own), undefined, address);
  const refused = `127.0.0.1 127.8.8.8 0.0.0.0 0.1.2.3 10.1.2.3 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254
    100.64.0.1 224.0.0.1 255.255.255.255 240.0.0.1 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 8.8.4.1 8.8.4.200
    ::1 :: fe80::1 fe80::1%eth0 fc00::1 fd12::1 ff02::1 ::ffff:8.8.8.8 ::ffff:127.0.0.1 64:ff9b::7f00:1 2002:7f00:1::1
    2001::1 2001:db8::1 fec0::1 2a00:1450::77 127.1 0x7f.1 localhost 1.2.3 a::b::c`;
  for (const address of refused.trim().split(/\s+/))
    assert.type(addressProblem(address, own), 'string', address);
});

test('targets are read in one form only', () => {
  assert.equal(connectTarget('Example.ORG.:443'), { host: 'example.org', port: 443 });
  for (const text of [
    'example.org',
    ':443',
    'a:0',
    'a:65536',
    'a b:1',
    'u@a:1',
    '[::1]:80',
    'a/b:1',
    '',
    'a:1\r\nx',
  ])
    assert.is(connectTarget(text), undefined, text);
  assert.equal(absoluteTarget('http://Example.org/a?b#c'), { host: 'example.org', port: 80, path: '/a?b' });
  assert.equal(absoluteTarget('http://example.org:81'), { host: 'example.org', port: 81, path: '/' });
  assert.is(absoluteTarget('http://0x7f.1/')?.host, '127.0.0.1');
  for (const text of ['/path', 'https://a/', 'ftp://a/', 'http://u:p@a/', 'http://[::1]/', '*', ''])
    assert.is(absoluteTarget(text), undefined, text);
});

test('headers of one connection stay there', () => {
  assert.equal(
    endToEnd([
      'Host',
      'a',
      'Connection',
      'close, X-Mine',
      'x-mine',
      '1',
      'Proxy-Authorization',
      'secret',
      'A',
      '1',
      'a',
      '2',
    ]),
    ['Host', 'a', 'A', '1', 'a', '2'],
  );
  assert.equal(endToEnd(['Connection', 'Transfer-Encoding', 'Transfer-Encoding', 'chunked']), [
    'Transfer-Encoding',
    'chunked',
  ]);
});

test.run();
