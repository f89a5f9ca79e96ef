/** The log of a real service: JSON lines with one for each request on a pipe, readable ones on a terminal, secrets in neither. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { copyCluster, makeFolder, runningPid } from '../database/fixtures/processes.js'
import { send, startService } from './fixtures/programs.js'

const dataDir = await copyCluster(makeFolder(t))
const email = 'canary@example.org'
const [password, guess, authorization] = ['a canary sings quietly', 'a canary guesses badly', 'Bearer canary-that-is-no-token']

/** Sends all that a secret can be in, and more than once what fails. @returns the texts that no log may hold, and the ids of the answers */
async function sendSecrets (url: string) {
  const answers = [
    await send(url, 'POST', '/users', { body: { email, name: 'Canary', password } }),
    await send(url, 'POST', '/auth/login', { body: { email, password } }),
    await send(url, 'POST', '/auth/login', { body: { email, password: guess } }),
    await send(url, 'POST', '/users', { body: { email, name: 'Canary', password: guess, secret: guess } }),
    await send(url, 'GET', `/users?email=${encodeURIComponent(password)}`),
    await send(url, 'GET', '/users/me', { headers: { authorization } })
  ]
  const cookie = answers[1]?.cookie
  answers.push(await send(url, 'GET', '/users/me', { cookie }))
  answers.push(await send(url, 'PUT', '/users/me/password', { cookie, body: { currentPassword: password, newPassword: guess } }))
  // With the cookie of a session whose row is gone, and a cookie that nobody signed.
  answers.push(await send(url, 'POST', '/auth/logout', { cookie }))
  answers.push(await send(url, 'GET', '/users/me', { cookie }))
  answers.push(await send(url, 'GET', '/users/me', { cookie: 'sessionid=canary-that-is-no-session' }))
  const value = decodeURIComponent(String(cookie?.split('=')[1]))
  return {
    statuses: answers.map(({ status }) => status),
    requestIds: answers.map(({ headers }) => headers.get('x-request-id')),
    secrets: [password, guess, encodeURIComponent(password), 'canary-that-is-no-token', 'canary-that-is-no-session', value, value.split('.')[0] ?? '', encodeURIComponent(value)]
  }
}

function readLogs (): string {
  const files = readdirSync(dataDir, { recursive: true, encoding: 'utf8' }).filter((name) => name.includes('.log'))
  return files.map((name) => readFileSync(join(dataDir, name), 'utf8')).join('\n')
}

t.test('on a pipe: JSON, one line for each request with its id, and no secret even at the most talkative level', async (t) => {
  const service = await startService(t, { DATA_DIR: dataDir, LOG_LEVEL: 'trace' })
  const { statuses, requestIds, secrets } = await sendSecrets(service.url)
  t.same(statuses, [201, 200, 401, 400, 401, 401, 200, 204, 204, 401, 401])
  // What fails inside is logged with its cause.
  process.kill(Number(runningPid(dataDir)), 'SIGKILL')
  const failed = await send(service.url, 'POST', '/auth/login', { body: { email, password } })
  t.equal(failed.status, 503)
  await service.says('PostgreSQL is back')
  t.equal((await service.stop()).code, 0)

  const lines = service.stdout.split('\n').filter((line) => line !== '' && !line.startsWith('Gatehouse is ready')).map((line) => JSON.parse(line))
  const requests = lines.filter(({ msg }) => msg === 'request')
  t.same(requests.map(({ requestId }) => requestId), [...requestIds, failed.headers.get('x-request-id')])
  t.same(requests.map(({ status }) => status), [...statuses, 503])
  t.match(requests[4], { method: 'GET', path: '/users', ms: Number, ip: '127.0.0.1' })
  t.match(lines.find(({ msg, requestId }) => msg === 'the request failed' && requestId === failed.headers.get('x-request-id')), { level: 50, err: Object })

  const all = service.stdout + service.stderr + readLogs()
  for (const [index, secret] of secrets.entries()) {
    t.ok(secret.length > 10)
    t.notOk(all.includes(secret), `secret ${index} is in no log`)
  }
  const key = readFileSync(join(dataDir, 'session-secret'), 'utf8')
  const { password: ours } = JSON.parse(readFileSync(join(dataDir, 'postgres', 'credentials.json'), 'utf8'))
  t.notOk(all.includes(key) || all.includes(ours), 'nor are our own')
})

t.test('on a terminal: readable lines to the last one, and Ctrl-C ends it', { skip: process.platform === 'win32' }, async (t) => {
  const service = await startService(t, { DATA_DIR: dataDir }, { onTerminal: true })
  const { headers } = await send(service.url, 'POST', '/auth/login', { body: { email, password }, headers: { authorization } })
  await service.says(String(headers.get('x-request-id')))
  service.child.stdin?.write('\u0003')
  t.equal(await service.ended, 0)
  t.match(service.stdout, /INFO.*: request/)
  t.notMatch(service.stdout, /^\{/m)
  t.notOk(service.stdout.includes(password) || service.stdout.includes('canary-that-is-no-token'))
  t.equal(runningPid(dataDir), undefined)
})
