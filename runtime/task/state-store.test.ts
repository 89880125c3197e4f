import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { StateStore } from './state-store.ts'

/** What a store must be: a map by key, collection and id. */
type Model = Map<string, number>
const place = (key: string, collection: string, id: string): string => JSON.stringify([key, collection, id])

const names = fc.constantFrom('a', 'b', 'c')
const collections = fc.constantFrom('one', 'other')
const ids = fc.constantFrom('', 'x/1', 'x/2', 'y')
const act = fc.oneof(
  fc.record({ kind: fc.constant('put' as const), key: names, collection: collections, id: ids, value: fc.nat() }),
  fc.record({ kind: fc.constant('delete' as const), key: names, collection: collections, id: ids }),
  fc.record({ kind: fc.constant('deleteKey' as const), key: names }),
)
const steps = fc.array(fc.record({ acts: fc.array(act, { maxLength: 6 }), fails: fc.boolean() }), { maxLength: 12 })

const open = () => {
  const store = new StateStore()
  let present = ''
  const views = {
    one: store.collection<number>('one', () => present),
    other: store.collection<number>('other', () => present),
  }
  return {
    store,
    of: (key: string, collection: string) => {
      present = key
      return views[collection as keyof typeof views]
    },
  }
}

const contents = ({ of }: ReturnType<typeof open>): Model => {
  const model: Model = new Map()
  for (const key of ['a', 'b', 'c']) {
    for (const collection of ['one', 'other']) {
      for (const [id, value] of of(key, collection).entries()) model.set(place(key, collection, id), value)
    }
  }
  return model
}

const sorted = (model: Model) => [...model].sort(([a], [b]) => (a < b ? -1 : 1))

t.test('holds what was put, forgets what a failed step wrote, and tells each change once', async () => {
  fc.assert(
    fc.property(steps, (all) => {
      const opened = open()
      const replica = open()
      let model: Model = new Map()
      for (const { acts, fails } of all) {
        const next: Model = new Map(model)
        for (const one of acts) {
          if (one.kind === 'deleteKey') {
            opened.store.deleteKey(one.key)
            for (const at of next.keys()) if (JSON.parse(at)[0] === one.key) next.delete(at)
          } else if (one.kind === 'delete') {
            opened.of(one.key, one.collection).delete(one.id)
            next.delete(place(one.key, one.collection, one.id))
          } else {
            opened.of(one.key, one.collection).put(one.value, one.id)
            assert.equal(opened.of(one.key, one.collection).get(one.id), one.value)
            next.set(place(one.key, one.collection, one.id), one.value)
          }
        }
        if (fails) opened.store.undoStep()
        else {
          for (const change of opened.store.changedInStep()) replica.store.restore(change)
          opened.store.keepStep()
          model = next
        }
        assert.deepEqual(sorted(contents(opened)), sorted(model))
        assert.deepEqual(sorted(contents(replica)), sorted(model), 'its changes make the same store')
      }
      const cleared = [...opened.store.clear()].map(({ key, collection, id }) => place(key, collection, id))
      assert.deepEqual(cleared.sort(), [...model.keys()].sort())
      assert.equal(contents(opened).size, 0)
    }),
    { numRuns: 300 },
  )
})

t.test('entries come in the order of their ids, from a prefix on', async (t) => {
  const { of } = open()
  for (const id of ['part/2', 'part/10', 'other', '']) of('k', 'one').put(1, id)
  t.same(
    of('k', 'one')
      .entries('part/')
      .map(([id]) => id),
    ['part/10', 'part/2'],
  )
  t.same(
    of('k', 'one')
      .entries()
      .map(([id]) => id),
    ['', 'other', 'part/10', 'part/2'],
  )
})
