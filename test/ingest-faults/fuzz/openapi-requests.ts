import fc from 'fast-check'

/**
 * Requests that an OpenAPI document describes, and such that it does not: most bodies and parameters are valid, with the
 * texts that break things in them (NUL, lone surrogates, names of prototypes); some have one value of another kind, and some
 * are anything.
 */
export interface Operation {
  readonly method: string
  readonly path: string
  readonly parameters: readonly Parameter[]
  readonly body: Schema | undefined
  /** Statuses that it says it answers with: `200`, `4XX`. */
  readonly statuses: readonly string[]
}

/** What the document cannot know, for requests that get past the form. */
export interface Hints {
  /** Values that lead somewhere, for ids in paths. */
  readonly ids: readonly string[]
  /** Other parameters, by name. */
  readonly parameters?: Readonly<Record<string, fc.Arbitrary<string>>>
  /** Bodies that fit what there is. */
  readonly body?: fc.Arbitrary<object> | undefined
}

export interface FuzzRequest {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  /** JSON, or what pretends to be. */
  readonly body: string | undefined
}

interface Parameter {
  readonly name: string
  readonly in: string
  readonly required?: boolean
  readonly schema?: Schema
}

interface Schema {
  readonly type?: string
  readonly enum?: readonly unknown[]
  readonly anyOf?: readonly Schema[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly items?: Schema
  readonly minItems?: number
  readonly maxItems?: number
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly pattern?: string
}

export interface OpenApi {
  readonly paths: Readonly<
    Record<
      string,
      Readonly<
        Record<
          string,
          {
            readonly parameters?: readonly Parameter[]
            readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> }
            readonly responses?: Readonly<Record<string, unknown>>
          }
        >
      >
    >
  >
}

export const operationsOf = ({ paths }: OpenApi): readonly Operation[] =>
  Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { parameters = [], requestBody, responses = {} }]) => ({
      method: method.toUpperCase(),
      path,
      parameters,
      body: requestBody?.content['application/json']?.schema,
      statuses: Object.keys(responses).map((status) => status.toUpperCase()),
    })),
  )

/** `GET /videos/{id}` */
export const nameOf = ({ method, path }: Operation): string => `${method} ${path}`

export const requestsTo = (operation: Operation, hints: Hints): fc.Arbitrary<FuzzRequest> => {
  const { method, path, parameters, body } = operation
  const inPlace = (place: string) => parameters.filter((parameter) => parameter.in === place)
  const valueFor = ({ name, schema = {} }: Parameter) =>
    hints.parameters?.[name] ??
    fc.oneof({ arbitrary: valid(schema), weight: 4 }, { arbitrary: nasty, weight: 1 }).map(String)
  const some = (place: string) =>
    fc.record(Object.fromEntries(inPlace(place).map((parameter) => [parameter.name, valueFor(parameter)])), {
      requiredKeys: inPlace(place).flatMap(({ name, required }) => (required === true ? [name] : [])),
    })
  const names = [...path.matchAll(/\{([^}]+)\}/g)].map(([, name = '']) => name)
  const segment = (name: string) => {
    const declared = inPlace('path').find((parameter) => parameter.name === name)
    const other = declared === undefined ? nasty : valueFor(declared)
    return /Id$|^id$/.test(name)
      ? fc.oneof({ arbitrary: fc.constantFrom(...hints.ids), weight: 4 }, { arbitrary: other, weight: 1 })
      : other
  }
  return fc
    .record({
      segments: fc.tuple(...names.map(segment)),
      query: some('query'),
      headers: some('header'),
      body: body === undefined ? fc.constant(undefined) : textOf(body, hints.body),
    })
    .map(({ segments, query, headers, body }) => {
      const filled = names.reduce((url, name, i) => url.replace(`{${name}}`, encoded(String(segments[i]))), path)
      const search = new URLSearchParams(query as Record<string, string>).toString()
      return {
        method,
        url: search === '' ? filled : `${filled}?${search}`,
        headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, headerSafe(value)])),
        body,
      }
    })
}

/** A dot segment would be resolved before it is sent, and a lone surrogate cannot be encoded. */
const encoded = (segment: string): string => encodeURIComponent(segment.toWellFormed()).replace(/^\.{0,2}$/, '%2E')

const headerSafe = (value: unknown): string => String(value).replace(/[^ -~]/g, '?')

export const nasty: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    '',
    '\u0000',
    'a\u0000b',
    '\ud800',
    '__proto__',
    'constructor',
    '../..',
    "'; --",
    '%',
    '\\',
    '𝒜'.repeat(50),
  ),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ maxLength: 40 }),
)

const textOf = (schema: Schema, fitting: fc.Arbitrary<object> | undefined): fc.Arbitrary<string> => {
  const good =
    fitting === undefined
      ? valid(schema)
      : fc.oneof({ arbitrary: fitting, weight: 3 }, { arbitrary: valid(schema), weight: 1 })
  return fc.oneof(
    { arbitrary: good.map((value) => JSON.stringify(value)), weight: 6 },
    { arbitrary: almostValid(schema, good).map((value) => JSON.stringify(value)), weight: 3 },
    { arbitrary: fc.json({ maxDepth: 4 }), weight: 1 },
    { arbitrary: nasty, weight: 1 },
  )
}

/** An object with one member of another kind. */
const almostValid = (schema: Schema, good: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc
    .tuple(good, fc.constantFrom(...Object.keys(schema.properties ?? { a: {} })), fc.jsonValue({ maxDepth: 2 }))
    .map(([value, name, other]) => ({ ...(value as object), [name]: other }))

const valid = (schema: Schema): fc.Arbitrary<unknown> => {
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum)
  if (schema.anyOf !== undefined) return fc.oneof(...schema.anyOf.map(valid))
  switch (schema.type) {
    case 'object':
      return schema.properties === undefined ? fc.dictionary(nasty, fc.jsonValue({ maxDepth: 3 })) : objectOf(schema)
    case 'array': {
      const { items = {}, minItems = 0, maxItems = 10 } = schema
      return fc.array(valid(items), { minLength: minItems, maxLength: Math.min(maxItems, 10) })
    }
    case 'integer':
    case 'number': {
      const { minimum = -1e15, maximum = 1e15 } = schema
      const small = Math.min(maximum, Math.max(minimum, 5))
      return fc.oneof(
        fc.constantFrom(minimum, maximum, small),
        fc.integer({ min: minimum, max: Math.max(maximum, minimum) }),
      )
    }
    case 'boolean':
      return fc.boolean()
    case 'null':
      return fc.constant(null)
    default:
      return textFor(schema)
  }
}

const objectOf = ({ properties = {}, required = [] }: Schema): fc.Arbitrary<unknown> =>
  fc.record(Object.fromEntries(Object.entries(properties).map(([name, member]) => [name, valid(member)])), {
    requiredKeys: [...required],
  })

const textFor = ({ pattern, minLength = 0, maxLength = 200 }: Schema): fc.Arbitrary<string> => {
  if (pattern?.startsWith('^')) return fc.stringMatching(new RegExp(pattern))
  return fc.oneof(
    nasty.map((text) => `${text}${'x'.repeat(minLength)}`.slice(0, maxLength)),
    fc.constant('x'.repeat(Math.min(maxLength, 300))),
  )
}
