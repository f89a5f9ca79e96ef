// Load: windows of requests over kept connections by autocannon, with every answer's status looked at.
import autocannon from 'autocannon'

/**
 * @typedef {object} Stream requests that are sent at the same time as those of the other streams of a workload
 * @property {string} [label] of the stream's own latencies
 * @property {number} connections
 * @property {object[][]} requests for autocannon; the connections take these lists in turn, each its own as far as they reach
 * @property {number} status that every answer must have
 */

/** Sends one request. @returns its status and body */
export async function ask (url, { method, path, headers, body }) {
  const response = await fetch(url + path, { method, headers, body })
  return { status: response.status, text: await response.text() }
}

/**
 * Sends requests for some seconds. A window ends in the middle of requests; those are over when another has been answered.
 * @param {Stream[]} streams
 * @returns answers per second of all streams, and for each its latencies in milliseconds, sorted
 */
export async function runWindow (url, streams, seconds) {
  await ask(url, streams[0].requests[0][0])
  const results = await Promise.all(streams.map(async (stream) => await runStream(url, stream, seconds)))
  return { count: results.reduce((sum, { count }) => sum + count, 0), seconds: Math.max(...results.map((result) => result.seconds)), latencies: results.map(({ latencies }) => latencies) }
}

async function runStream (url, { connections, requests, status }, seconds) {
  let next = 0
  const latencies = []
  const unexpected = new Map()
  const instance = autocannon({
    url,
    connections,
    duration: seconds,
    // Cut off by the time alone.
    timeout: 60,
    setupClient: (client) => client.setRequests(requests[next++ % requests.length])
  })
  instance.on('response', (_client, statusCode, _bytes, ms) => {
    latencies.push(ms)
    if (statusCode !== status) unexpected.set(statusCode, (unexpected.get(statusCode) ?? 0) + 1)
  })
  const { errors, duration } = await instance
  if (errors > 0 || unexpected.size > 0) {
    throw new Error(`${requests[0][0].method} ${requests[0][0].path}: ${errors} errors, ${[...unexpected].map(([code, count]) => `${count} times ${code}`).join(', ')} instead of ${status}`)
  }
  return { count: latencies.length, seconds: duration, latencies: latencies.sort((one, other) => one - other) }
}

export const quantile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]

export const median = (values) => quantile([...values].sort((one, other) => one - other), 0.5)
