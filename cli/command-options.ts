import { type Command, InvalidArgumentError, Option } from 'commander'
import type { UploadDetails } from '../ingest/sdk/index.ts'

/** What every command that makes a video can be told about it, and about how it is to be made. */
export interface VideoFlags extends ConnectionFlags {
  readonly description?: string
  readonly author?: string
  readonly tag: readonly string[]
  readonly visibility?: UploadDetails['visibility']
  readonly wait?: boolean
  readonly json?: boolean
  readonly giveUpAfter: number
}

export interface ConnectionFlags {
  readonly gateway?: string
  readonly token?: string
}

/** Of a title; the name of a file may be longer. */
export const MAX_TITLE = 200

export const detailOptions = (command: Command): Command =>
  command
    .option('--description <text>', 'description')
    .option('--author <name>', 'display name of the author')
    .option('--tag <tag>', 'a tag; may be given several times', collect, [])
    .addOption(new Option('--visibility <who>', 'who may find it').choices(['PUBLIC', 'UNLISTED', 'PRIVATE']))

export const waitOption = (command: Command): Command =>
  command.option('--wait', 'wait until the video is ready, and show how it gets there')

/** Longer than any night; an upload that expires meanwhile ends it, too. */
const GIVE_UP_AFTER_MINUTES = 24 * 60

export const giveUpOption = (command: Command): Command =>
  command.option(
    '--give-up-after <minutes>',
    'for how long to go on trying while nobody answers',
    wholeMinutes,
    GIVE_UP_AFTER_MINUTES,
  )

/** Twenty days: a timer holds no more than 2^31 ms. */
const MAX_MINUTES = 20 * 24 * 60

export const wholeMinutes = (text: string): number => {
  const value = Number(text)
  if (Number.isInteger(value) && value >= 1 && value <= MAX_MINUTES) return value
  throw new InvalidArgumentError(`expected a whole number of minutes, 1 … ${MAX_MINUTES}.`)
}

/** @param what the gateway is for */
export const connectionOptions = (command: Command, what: string): Command =>
  command
    .option('--gateway <url>', `gateway to ${what} (default: GATEWAY_URL, else the one running here)`)
    .option('--token <token>', "author's token (default: AUTHOR_TOKEN, else the local author's)")

/** The details that were given: one that is not there is not the same as one that is undefined. */
export const givenDetails = ({
  description,
  author,
  visibility,
}: VideoFlags): Pick<UploadDetails, 'description' | 'author' | 'visibility'> => ({
  ...(description === undefined ? {} : { description }),
  ...(author === undefined ? {} : { author }),
  ...(visibility === undefined ? {} : { visibility }),
})

const collect = (value: string, before: readonly string[]): readonly string[] => [...before, value]
