// What is asked about access, one request at a time, against the milliseconds that it may take at the median.
import { median, quantile, runWindow } from './load.js'
import { archive } from './world.js'

const seconds = 2
/** A connection's first few executions of a statement are each planned anew. */
const warmUpSeconds = 1
const mostMs = 20

/** @returns {Promise<Array<{ name: string, p50: number, p99: number, mostMs?: number }>>} `mostMs`: where there is a target */
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
  const trial = (path, body) => ({ method: 'POST', path: `${path}?dryRun=true`, headers: { cookie: cookies.owner, 'content-type': 'application/json' }, body: JSON.stringify(body) })
  const measured = [
    ['check of 1', check(1)],
    ['check of 100', check(100)],
    ['explain', get(cookies.ordinary, `/resources/${ordinary.documents[0]}/explain?action=edit`)],
    ['explain, by what an organization gives', get(cookies.dense, `/resources/${callers.dense.documents[0]}/explain?action=edit`)],
    ['page of access', get(cookies.owner, `/resources/${callers.owner.documents[0]}/access`)],
    ['page of 100 of access', get(cookies.owner, `/resources/${callers.owner.documents[0]}/access?limit=100&action=edit`)],
    ['dry run: a role for everyone on an organization', trial(`/resources/${archive.homes[1]}/bindings`, { role: 'viewer', subject: { type: 'everyone' } }), 'untargeted'],
    [`dry run: move ${archive.size.toLocaleString('en')} resources`, trial(`/resources/${archive.id}/move`, { parentId: archive.homes[1] }), 'untargeted']
  ]
  const results = []
  for (const [place, [name, request, untargeted]] of measured.entries()) {
    progress('asking about access', place, measured.length)
    const streams = [{ connections: 1, requests: [[request]], status: 200 }]
    await runWindow(service.url, streams, warmUpSeconds)
    const { latencies: [latencies] } = await runWindow(service.url, streams, seconds)
    results.push({ name, p50: median(latencies), p99: quantile(latencies, 0.99), ...untargeted === undefined && { mostMs } })
  }
  const [one, hundred] = results
  hundred.ratio = hundred.p50 / one.p50
  return results
}
