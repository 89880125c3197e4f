import { BugError } from '../../platform/errors.ts'

/**
 * Avro → TypeScript. One record per file; a field may name a record or enum of another file by its full name, and the
 * canonical text that is registered inlines each named type where it is first used, as Avro demands.
 */
export interface AvroField {
  readonly name: string
  readonly type: AvroType
  readonly doc?: string
  readonly default?: unknown
}
export interface AvroNamed {
  readonly type: 'record' | 'enum'
  readonly name: string
  readonly namespace?: string
  readonly doc?: string
  readonly fields?: readonly AvroField[]
  readonly symbols?: readonly string[]
  readonly default?: unknown
}
interface AvroArray {
  readonly type: 'array'
  readonly items: AvroType
}
interface AvroMap {
  readonly type: 'map'
  readonly values: AvroType
}
interface AvroLogical {
  readonly type: string
  readonly logicalType?: string
}
export type AvroType = string | AvroNamed | AvroArray | AvroMap | AvroLogical | readonly AvroType[]

/** Every named type of the tree by full name, those nested in a record's fields included. */
export type NamedTypes = Map<string, { readonly definition: AvroNamed; readonly file: string }>

const isNamed = (type: AvroType): type is AvroNamed =>
  typeof type === 'object' && !Array.isArray(type) && 'name' in type && ['record', 'enum'].includes(type.type)

const isUnion = (type: AvroType): type is readonly AvroType[] => Array.isArray(type)

export const fullNameOf = (named: AvroNamed, enclosing = ''): string => {
  const namespace = named.namespace ?? enclosing
  return namespace === '' ? named.name : `${namespace}.${named.name}`
}

const namespaceOf = (fullName: string): string => fullName.slice(0, Math.max(0, fullName.lastIndexOf('.')))

export const collectNamed = (root: AvroNamed, file: string, into: NamedTypes, enclosing = ''): void => {
  const fullName = fullNameOf(root, enclosing)
  const known = into.get(fullName)
  if (known !== undefined) {
    throw new BugError('SCHEMA_NAME_TWICE', `${fullName} is defined in ${known.file} and again in ${file}`)
  }
  into.set(fullName, { definition: root, file })
  if (!root.doc) throw new BugError('SCHEMA_WITHOUT_DOC', `${fullName} (${file}) has no doc`)
  for (const field of root.fields ?? []) {
    if (!field.doc) throw new BugError('SCHEMA_WITHOUT_DOC', `${fullName}.${field.name} (${file}) has no doc`)
    visitInline(field.type, (inner) => collectNamed(inner, file, into, namespaceOf(fullName)))
  }
}

const visitInline = (type: AvroType, found: (named: AvroNamed) => void): void => {
  if (typeof type === 'string') return
  if (isUnion(type)) for (const member of type) visitInline(member, found)
  else if (isNamed(type)) found(type)
  else if ('items' in type) visitInline(type.items, found)
  else if ('values' in type) visitInline(type.values, found)
}

/** The self-contained schema that is registered: docs kept, each named type inlined where it is first used. */
export const selfContained = (fullName: string, named: NamedTypes): unknown => {
  const seen = new Set<string>()
  const expand = (type: AvroType, enclosing: string): unknown => {
    if (typeof type === 'string') return named.has(type) ? expandNamed(type) : type
    if (isUnion(type)) return type.map((member) => expand(member, enclosing))
    if (isNamed(type)) return expandNamed(fullNameOf(type, enclosing))
    if ('items' in type) return { type: 'array', items: expand(type.items, enclosing) }
    if ('values' in type) return { type: 'map', values: expand(type.values, enclosing) }
    return type
  }
  const expandNamed = (name: string): unknown => {
    const entry = named.get(name)
    if (entry === undefined) throw new BugError('SCHEMA_UNKNOWN_NAME', `no .avsc defines ${name}`)
    if (seen.has(name)) return name
    seen.add(name)
    const { definition } = entry
    const head = { type: definition.type, name: definition.name, namespace: namespaceOf(name), doc: definition.doc }
    if (definition.type === 'enum') return { ...head, symbols: definition.symbols, default: definition.default }
    const fields = (definition.fields ?? []).map((field) => ({
      name: field.name,
      type: expand(field.type, namespaceOf(name)),
      doc: field.doc,
      ...('default' in field ? { default: field.default } : {}),
    }))
    return { ...head, fields }
  }
  return expandNamed(fullName)
}

const PRIMITIVES: Readonly<Record<string, string>> = {
  null: 'null',
  boolean: 'boolean',
  int: 'number',
  long: 'number',
  float: 'number',
  double: 'number',
  string: 'string',
  bytes: 'Buffer',
}

/** The TypeScript type of an Avro type; every named type it mentions is reported through `uses`. */
export const typeText = (type: AvroType, enclosing: string, uses: (fullName: string) => void): string => {
  if (typeof type === 'string') {
    const primitive = PRIMITIVES[type]
    if (primitive !== undefined) return primitive
    uses(type)
    return type.slice(type.lastIndexOf('.') + 1)
  }
  if (isUnion(type)) {
    const members = type.filter((member) => member !== 'null')
    if (members.length !== 1 || members.length === type.length) {
      throw new BugError('SCHEMA_UNION', `only ["null", X] unions are allowed, got ${JSON.stringify(type)}`)
    }
    return `${typeText(members[0] as AvroType, enclosing, uses)} | null`
  }
  if (isNamed(type)) {
    uses(fullNameOf(type, enclosing))
    return type.name
  }
  if ('items' in type) {
    const item = typeText(type.items, enclosing, uses)
    return `readonly ${item.includes(' ') ? `(${item})` : item}[]`
  }
  if ('values' in type) return `Readonly<Record<string, ${typeText(type.values, enclosing, uses)}>>`
  return typeText(type.type, enclosing, uses)
}

/** `export interface X { … }` or a union of literals, with the docs of the schema. */
export const declarationText = (fullName: string, named: NamedTypes, uses: (fullName: string) => void): string => {
  const entry = named.get(fullName)
  if (entry === undefined) throw new BugError('SCHEMA_UNKNOWN_NAME', `no .avsc defines ${fullName}`)
  const { definition } = entry
  const doc = `/** ${definition.doc} */\n`
  if (definition.type === 'enum') {
    return `${doc}export type ${definition.name} = ${(definition.symbols ?? []).map((s) => `'${s}'`).join(' | ')}\n`
  }
  const fields = (definition.fields ?? []).map(
    (field) =>
      `  /** ${field.doc} */\n  readonly ${field.name}: ${typeText(field.type, namespaceOf(fullName), uses)}\n`,
  )
  return `${doc}export interface ${definition.name} {\n${fields.join('')}}\n`
}
