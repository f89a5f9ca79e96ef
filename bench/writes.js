// Writes: small ones one at a time, and two long ones, while others read what is in other subtrees.
import { archive } from './world.js'
import { median, quantile, runWindow } from './load.js'

const times = 100
/** Not measured: the first waits for a dry run that the last window may have left under way, and plans are made anew a few times. */
const warmUps = 10
const readers = 8

/**
 * @returns {Promise<Array<{ name: string, p50: number, p99: number } | { name: string, ms: number, reads: object }>>} in milliseconds;
 *   `reads`: latencies of reads elsewhere while the write ran, and before it
 */
export async function measureWrites (service, world, signIn, progress) {
  const owner = { cookie: await signIn(world.callers.owner.user) }
  const { project, documents } = world.callers.owner
  const send = async (method, path, body) => {
    const begun = performance.now()
    const response = await fetch(service.url + path, { method, headers: { ...owner, ...body && { 'content-type': 'application/json' } }, body: body && JSON.stringify(body) })
    const text = await response.text()
    return { ms: performance.now() - begun, status: response.status, isDone: response.ok, body: text === '' ? undefined : JSON.parse(text) }
  }

  const small = new Map(['create a document', 'change it', 'move it', 'bind a role on it', 'take the binding back', 'delete it'].map((name) => [name, []]))
  let time
  const note = (name, { ms, status, isDone, body }) => {
    if (!isDone) throw new Error(`to ${name} was answered with ${status}: ${JSON.stringify(body)}`)
    if (time >= 0) small.get(name).push(ms)
    return body
  }
  for (time = -warmUps; time < times; time++) {
    progress('small writes', time + warmUps, times + warmUps)
    const { id } = note('create a document', await send('POST', '/resources', { type: 'document', name: `Draft ${time}`, parentId: project }))
    note('change it', await send('PATCH', `/resources/${id}`, { name: 'Final' }))
    note('move it', await send('POST', `/resources/${id}/move`, { parentId: archive.homes[Math.abs(time % 2)] }))
    const binding = note('bind a role on it', await send('POST', `/resources/${id}/bindings`, { role: 'viewer', subject: { type: 'user', id: world.userId(time + warmUps) } }))
    note('take the binding back', await send('DELETE', `/resources/${id}/bindings/${binding.id}`))
    note('delete it', await send('DELETE', `/resources/${id}`))
  }
  const results = [...small].map(([name, values]) => {
    values.sort((one, other) => one - other)
    return { name, p50: median(values), p99: quantile(values, 0.99) }
  })

  const reading = [{ connections: readers, status: 200, requests: [documents.map((id) => ({ method: 'GET', path: `/resources/${id}`, headers: owner }))] }]
  const long = async (name, write) => {
    progress(name, 0, 1)
    const quiet = await runWindow(service.url, reading, 2)
    const writing = write()
    writing.catch(() => {})
    const busy = await runWindow(service.url, reading, 2)
    const { ms, status, isDone } = await writing
    const of = ({ latencies: [latencies] }) => ({ p50: median(latencies), p99: quantile(latencies, 0.99), longest: latencies.at(-1) })
    results.push({ name: isDone ? name : `${name}: answered with ${status}`, ms, reads: { before: of(quiet), during: of(busy) } })
  }
  await long(`move ${archive.size.toLocaleString('en')} resources`, async () => await send('POST', `/resources/${archive.id}/move`, { parentId: archive.homes[1] }))
  await long(`delete ${archive.size.toLocaleString('en')} resources`, async () => await send('DELETE', `/resources/${archive.id}?recursive=true`))
  return results
}
