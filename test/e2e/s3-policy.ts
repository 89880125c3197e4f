import { readFileSync } from 'node:fs'
import path from 'node:path'

/**
 * docs/s3-policy.json, as far as S3 would evaluate it: statements that allow, with wildcards in resources. And from a
 * request on the wire to the permission that S3 asks for (the S3 user guide, "Required permissions for API operations").
 */
export interface S3Call {
  readonly action: string
  readonly resource: string
}

interface Statement {
  readonly Effect: string
  readonly Principal: { readonly AWS: string | readonly string[] }
  readonly Action: string | readonly string[]
  readonly Resource: string | readonly string[]
}

const POLICY = JSON.parse(
  readFileSync(path.resolve(import.meta.dirname, '..', '..', 'docs', 's3-policy.json'), 'utf8'),
) as { readonly Statement: readonly Statement[] }

/** The keys that DeleteObjects names are in its body: it is judged by the folder of all of them. */
export const callOf = (method: string, url: string): S3Call => {
  const { pathname, searchParams: query } = new URL(url, 'http://s3')
  const [, bucket = '', key = ''] = /^\/([^/]+)\/?(.*)$/.exec(decodeURIComponent(pathname)) ?? []
  const bucketArn = `arn:aws:s3:::${bucket}`
  if (key === '') {
    const action = bucketAction(method, query)
    return { action, resource: action === 's3:DeleteObject' ? `${bucketArn}/v/x/source` : bucketArn }
  }
  return { action: objectAction(method, query), resource: `${bucketArn}/${key}` }
}

const bucketAction = (method: string, query: URLSearchParams): string => {
  if (method === 'PUT') return query.has('cors') ? 's3:PutBucketCORS' : 's3:CreateBucket'
  if (method === 'POST' && query.has('delete')) return 's3:DeleteObject'
  if (method === 'GET' && query.has('uploads')) return 's3:ListBucketMultipartUploads'
  if (method === 'HEAD' || (method === 'GET' && query.has('list-type'))) return 's3:ListBucket'
  return `${method} of a bucket`
}

const objectAction = (method: string, query: URLSearchParams): string => {
  if (method === 'GET' && query.has('uploadId')) return 's3:ListMultipartUploadParts'
  if (method === 'DELETE') return query.has('uploadId') ? 's3:AbortMultipartUpload' : 's3:DeleteObject'
  if (method === 'GET' || method === 'HEAD') return 's3:GetObject'
  return 's3:PutObject'
}

export const isAllowed = (role: string, call: S3Call): boolean => grantsOf(role).some((grant) => covers(grant, call))

/** One action on one pattern of resources: what a run did not need is asked about. */
export interface Grant {
  readonly action: string
  /** With `*`. */
  readonly resource: string
}

export const grantsOf = (role: string): readonly Grant[] =>
  POLICY.Statement.filter((statement) => isFor(statement, role)).flatMap(({ Action, Resource }) =>
    [Action].flat().flatMap((action) => [Resource].flat().map((resource) => ({ action, resource }))),
  )

const isFor = ({ Effect, Principal }: Statement, role: string): boolean =>
  Effect === 'Allow' && [Principal.AWS].flat().some((arn) => arn.endsWith(`:role/reelstream-${role}`))

export const covers = (grant: Grant, { action, resource }: S3Call): boolean => {
  const pattern = grant.resource.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')
  return grant.action === action && new RegExp(`^${pattern}$`, 's').test(resource)
}
