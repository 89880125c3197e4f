import avsc from 'avsc'
import t from 'tap'
import { examples } from './examples.ts'
import { topics } from './topics.ts'

/** Decoded records have a class of their own; only what they hold is compared. */
const toPlain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

for (const topic of topics) {
  for (const [event, schema] of Object.entries(topic.events)) {
    t.test(`the example of ${event} travels over ${topic.name} unchanged`, async (t) => {
      const type = avsc.Type.forSchema(JSON.parse(schema.schema), { wrapUnions: 'never' })
      const example = examples[event as keyof typeof examples]
      t.strictSame(toPlain(type.fromBuffer(type.toBuffer(example))), example)
    })
  }
}

t.test('a broken example is noticed', async (t) => {
  const [topic] = topics
  const type = avsc.Type.forSchema(JSON.parse(topic.events.PartUploaded.schema), { wrapUnions: 'never' })
  t.throws(() => type.toBuffer({ ...examples.PartUploaded, partNumber: 'one' }))
})
