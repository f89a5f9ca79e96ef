// What is asked about access, one request at a time, against the milliseconds that it may take at the median.
import { median, quantile, runWindow } from './load.js'

const seconds = 2
const mostMs = 20

/** @returns {Promise<Array<{ name: string, p50: number, p99: number, mostMs: number }>>} */
export async function measureAsking (service, world, signIn, progress) {
  const { callers } = world
  const ordinary = callers.ordinary(0)
  const cookies = { ordinary: await signIn(ordinary.user), dense: await signIn(callers.dense.user), owner: await signIn(callers.owner.user) }
  const documents = [...ordinary.documents, ...world.hidden].slice(0, 100)
  const check = (count) => ({
    method: 'POST',
    path: '/authz/check',
    headers: { cookie: cookies.ordinary, 'content-type': 'application/json' },
    body: JSON.stringify({ checks: documents.slice(0, count).map((resourceId) => ({ action: 'edit', resourceId })) })
  })
  const get = (cookie, path) => ({ method: 'GET', path, headers: { cookie } })
  const measured = [
    ['check of 1', check(1)],
    ['check of 100', check(100)],
    ['explain', get(cookies.ordinary, `/resources/${ordinary.documents[0]}/explain?action=edit`)],
    ['explain, by what an organization gives', get(cookies.dense, `/resources/${callers.dense.documents[0]}/explain?action=edit`)],
    ['page of access', get(cookies.owner, `/resources/${callers.owner.documents[0]}/access`)],
    ['page of 100 of access', get(cookies.owner, `/resources/${callers.owner.documents[0]}/access?limit=100&action=edit`)]
  ]
  const results = []
  for (const [place, [name, request]] of measured.entries()) {
    progress('asking about access', place, measured.length)
    const { latencies: [latencies] } = await runWindow(service.url, [{ connections: 1, requests: [[request]], status: 200 }], seconds)
    results.push({ name, p50: median(latencies), p99: quantile(latencies, 0.99), mostMs })
  }
  const [one, hundred] = results
  hundred.ratio = hundred.p50 / one.p50
  return results
}
