// What is measured side by side with the limit: streams of requests by callers of each kind.
import { emailOf } from './world.js'
import { password } from './seed.js'

export const connections = 32
const ordinaryCallers = 32

/**
 * @param world see world.js
 * @param signIn takes the number of a user and gives the cookie of a session of theirs
 * @returns {Promise<Array<{ name: string, target?: number, streams: import('./load.js').Stream[] }>>} `target`: least ratio to the limit;
 *   `streamsOfOther`: what that is sent instead, where the two must not meet
 */
export async function makeWorkloads (world, signIn) {
  const { callers } = world
  const sessionOf = async (caller) => ({ ...caller, cookie: await signIn(caller.user) })
  const ordinary = []
  for (let place = 0; place < ordinaryCallers; place++) ordinary.push(await sessionOf(callers.ordinary(place * 3)))
  const get = (caller, path) => ({ method: 'GET', path, headers: { cookie: caller.cookie } })
  const stream = (requests, status = 200) => ({ connections, requests, status })
  const reads = (caller) => caller.documents.map((id) => get(caller, `/resources/${id}`))
  const listed = async (name, caller, path = '/resources') => ({ name: `list, ${name}`, target: 0.7, streams: [stream([[get(await sessionOf(caller), path)]])] })
  const denied = (label, ids) => ({
    ...stream(ordinary.map((caller, place) => ids.slice(place * 7, place * 7 + 50).map((id) => get(caller, `/resources/${id}`))), 404), label, connections: connections / 2
  })
  // Each connection signs in to accounts of its own: one address may try all, but not many at once the same.
  const login = (first) => stream(Array.from({ length: connections }, (_, place) => [{
    method: 'POST',
    path: '/auth/login',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email: emailOf(first + place), password })
  }]))

  return [
    { name: 'session', target: 0.65, streams: [stream(ordinary.map((caller) => [get(caller, '/auth/session')]))] },
    { name: 'read', target: 0.7, streams: [stream(ordinary.map(reads))] },
    { name: 'read, in 200 groups', target: 0.7, streams: [stream([reads(await sessionOf(callers.member))])] },
    { name: 'denied', target: 0.7, streams: [denied('hidden', world.hidden), denied('absent', world.absent)] },
    { name: 'list', target: 0.7, streams: [stream(ordinary.map((caller) => [get(caller, '/resources')]))] },
    // With 100,000 resources that is all: pages of the same length whatever there is.
    await listed('sees 0.01 %', callers.sparse, '/resources?limit=11'),
    await listed('sees 90 %', callers.dense),
    await listed('5,000 bindings', callers.direct),
    await listed('in 200 groups', callers.member),
    { name: 'login', target: 0.9, streams: [login(100)], streamsOfOther: [login(140)] }
  ]
}
