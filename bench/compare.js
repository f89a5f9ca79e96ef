// Keeps the limit honest: it must answer every request that is measured with the service's status and the same bytes.
import { ask } from './load.js'

/** @throws Error for the first answer that differs */
export async function compareAnswers (service, limit, workloads) {
  for (const { name, streams, streamsOfOther } of workloads) {
    // What each login makes is its own: the fields must be the same.
    const shown = streamsOfOther === undefined ? (text) => text : (text) => shapeOf(JSON.parse(text))
    for (const request of streams.flatMap(({ requests }) => requests.map(([first]) => first))) {
      const [ours, theirs] = [await ask(service.url, request), await ask(limit.url, request)]
      if (ours.status === theirs.status && shown(ours.text) === shown(theirs.text)) continue
      throw new Error(`The limit does not answer ${request.method} ${request.path} (${name}) as the service does:\n${ours.status} ${ours.text}\n${theirs.status} ${theirs.text}`)
    }
  }
}

const shapeOf = (value) => typeof value === 'object' && value !== null
  ? `{${Object.entries(value).map(([key, child]) => `${key}:${shapeOf(child)}`)}}`
  : typeof value
