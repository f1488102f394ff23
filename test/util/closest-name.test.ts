import assert from 'node:assert/strict'
import { test } from 'node:test'
import { closestName } from '../../src/util/closest-name.ts'

const NAMES = ['retentionMs', 'retentionBytes', 'segmentMs', 'key', 'value']

test('the closest of the known names is found, whatever its case', () => {
  assert.equal(closestName('retentionms', NAMES), 'retentionMs')
  assert.equal(closestName('retention_bytes', NAMES), 'retentionBytes')
  assert.equal(closestName('segmntMs', NAMES), 'segmentMs')
  assert.equal(closestName('vlaue', NAMES), 'value')
})

test('a name that is near none has no hint', () => {
  assert.equal(closestName('compression', NAMES), undefined)
  assert.equal(closestName('x', []), undefined)
})
