import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memcachedProtocol } from '../../examples/load/memcached-protocol.js';

test('the requests are sets, gets and probes, and answers are recognised when they are complete', () => {
  const conversation = memcachedProtocol().conversation(3);
  assert.match(conversation.next(), /^set key-3-0 0 0 2\r\n0-\r\n$/);
  assert.equal(conversation.answerLength('STORED\r'), 0);
  assert.equal(conversation.answerLength('STORED\r\n'), 8);
  assert.equal(conversation.check('STORED\r\n').wrong, undefined);

  assert.equal(conversation.next(), 'get key-3-0\r\n');
  const right = 'VALUE key-3-0 0 2\r\n0-\r\nEND\r\n';
  assert.equal(conversation.answerLength(right.slice(0, -1)), 0);
  assert.equal(conversation.answerLength(right), right.length);
  assert.equal(conversation.check(right).wrong, undefined);
  assert.notEqual(conversation.check(right.replace('0-', '1-')).wrong, undefined);

  conversation.next();
  assert.equal(conversation.answerLength('END\r\n'), 5);
  assert.notEqual(conversation.check('END\r\n').wrong, undefined);
});

test('the answer to a probe tells old from new code', () => {
  const conversation = memcachedProtocol().conversation(0);
  for (let i = 0; i < 4; i++) conversation.next();
  const old = 'STORED\r\nCLIENT_ERROR cannot increment or decrement non-numeric value\r\n';
  assert.equal(conversation.answerLength('STORED\r\n'), 0);
  assert.equal(conversation.answerLength(old), old.length);
  assert.equal(conversation.check(old).version, 1);
  assert.equal(conversation.check('STORED\r\n18446744073709551605\r\n').version, 2);
  assert.notEqual(conversation.check('STORED\r\n5\r\n').wrong, undefined);
});
