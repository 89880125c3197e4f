export interface ServerSentEvent {
  /** Empty if the stream gives none. */
  readonly id: string
  /** `message` if the stream gives none. */
  readonly type: string
  readonly data: string
}

/**
 * Feeds text, in pieces cut anywhere, and calls `onEvent` for each whole event.
 * The grammar: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 */
export const parseServerSentEvents = (onEvent: (event: ServerSentEvent) => void): ((text: string) => void) => {
  let rest = ''
  let id = ''
  let type = ''
  let data: string[] = []

  const line = (text: string): void => {
    if (text === '') {
      if (data.length > 0) onEvent({ id, type: type || 'message', data: data.join('\n') })
      type = ''
      data = []
      return
    }
    const colon = text.indexOf(':')
    const field = colon < 0 ? text : text.slice(0, colon)
    const value = colon < 0 ? '' : text.slice(colon + 1).replace(/^ /, '')
    if (field === 'data') data.push(value)
    else if (field === 'event') type = value
    else if (field === 'id' && !value.includes('\0')) id = value
  }

  return (text) => {
    rest += text
    for (;;) {
      const end = /\r\n|\n|\r/.exec(rest)
      // A CR at the end of a piece may be half of a CRLF.
      if (end === null || (end[0] === '\r' && end.index === rest.length - 1)) return
      const text = rest.slice(0, end.index)
      rest = rest.slice(end.index + end[0].length)
      line(text)
    }
  }
}
