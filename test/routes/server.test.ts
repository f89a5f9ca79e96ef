/** A server that listens: what no injected request shows. Slow and malformed requests, long headers, absolute targets, and stopping. */
import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { openTestApp, password } from '../helpers/app.js'
import { openTestDatabase } from '../helpers/database.js'

const database = await openTestDatabase()
let release: () => void = () => {}
let arrived: () => void = () => {}
function extend (app: FastifyInstance): void {
  app.get('/test/slow', { schema: { hide: true }, config: { access: 'public' } }, async () => {
    await new Promise<void>((resolve) => { release = resolve; arrived() })
    return { done: true }
  })
}
const open = async () => {
  const opened = await openTestApp(database, { extend })
  await opened.app.listen({ host: '127.0.0.1', port: 0 })
  return { ...opened, port: (opened.app.server.address() as AddressInfo).port }
}
const { port, signUp, app } = await open()
const person = await signUp()

async function openSocket (to = port): Promise<Socket> {
  const socket = connect(to, '127.0.0.1')
  await once(socket, 'connect')
  return socket
}
/** All that comes until the server closes the connection. */
async function readAll (socket: Socket): Promise<string> {
  let text = ''
  socket.on('data', (chunk) => { text += String(chunk) })
  socket.on('error', () => {})
  await once(socket, 'close')
  return text
}
async function send (bytes: string): Promise<string> {
  const socket = await openSocket()
  const all = readAll(socket)
  socket.end(bytes)
  return await all
}
/** An answer off the wire: a problem, complete, with the headers that every answer has. */
function matchProblem (t: Test, text: string, status: number, code: string): void {
  const [head, body] = text.split('\r\n\r\n') as [string, string]
  const [statusLine, ...lines] = head.split('\r\n') as [string, ...string[]]
  const headers = new Map(lines.map((line) => line.toLowerCase().split(': ') as [string, string]))
  t.match(statusLine, new RegExp(`^HTTP/1.1 ${status} \\w`))
  t.equal(headers.get('content-type'), 'application/problem+json; charset=utf-8')
  t.equal(headers.get('cache-control'), 'no-store')
  t.equal(headers.get('x-content-type-options'), 'nosniff')
  t.equal(Number(headers.get('content-length')), Buffer.byteLength(body))
  t.match(JSON.parse(body), { status, code, type: `urn:gatehouse:problem:${code}`, title: String, detail: String })
}

const host = 'host: localhost\r\n'
for (const [what, bytes] of Object.entries({
  'two ways of saying how long the body is': `POST /auth/login HTTP/1.1\r\n${host}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
  'two lengths': `POST /auth/login HTTP/1.1\r\n${host}content-length: 4\r\ncontent-length: 5\r\n\r\nabcd`,
  'an unknown transfer encoding': `POST /auth/login HTTP/1.1\r\n${host}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n`,
  'a bad chunk': `POST /auth/login HTTP/1.1\r\n${host}content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n`,
  'a blank before the colon': 'GET / HTTP/1.1\r\nhost : localhost\r\n\r\n',
  'a line break alone': 'GET / HTTP/1.1\nhost: localhost\n\n',
  'no HTTP': 'hello\r\n\r\n',
  'a TLS greeting': '\x16\x03\x01\x02\x00\x01\x00'
})) {
  t.test(`a malformed request is refused and the connection closed: ${what}`, async (t) => {
    matchProblem(t, await send(bytes), 400, 'invalid-request')
  })
}

t.test('what Node would answer by itself is answered as everything is', async (t) => {
  for (const path of ['/', '/users/me', '/nowhere']) {
    matchProblem(t, await send(`GET ${path} HTTP/1.1\r\nconnection: close\r\n\r\n`), 400, 'invalid-request')
  }
  t.match(await send('GET /healthz HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 200 /, 'which had no Host yet')
  matchProblem(t, await send(`GET /nowhere HTTP/1.1\r\n${host}expect: miracles\r\nconnection: close\r\n\r\n`), 404, 'not-found')
})

t.test('headers above 16 KiB are refused', async (t) => {
  matchProblem(t, await send(`GET / HTTP/1.1\r\n${host}x-long: ${'x'.repeat(20_000)}\r\n\r\n`), 431, 'headers-too-large')
})

t.test('a body above the limit is refused before it has arrived', async (t) => {
  t.match(await send(`POST /auth/login HTTP/1.1\r\n${host}content-type: application/json\r\ncontent-length: 99999999\r\n\r\n{`), /^HTTP\/1\.1 413 /)
})

t.test('a target in absolute form is the path in it', async (t) => {
  const ask = async (method: string, path: string, headers = {}, body?: string): Promise<{ status: number | undefined, cookie: unknown }> => await new Promise((resolve, reject) => {
    const request = httpRequest({ host: '127.0.0.1', port, method, path, headers: { 'content-type': 'application/json', ...headers } }, (response) => {
      response.resume().on('end', () => { resolve({ status: response.statusCode, cookie: response.headers['set-cookie'] }) })
    })
    request.on('error', reject).end(body)
  })
  t.match(await ask('POST', 'http://localhost/auth/login', {}, JSON.stringify({ email: person.email, password })), { status: 200, cookie: [/^sessionid=/] })
  t.match(await ask('GET', 'http://localhost:1234/users/me', { cookie: person.cookie }), { status: 200 })
  t.match(await ask('GET', 'HTTPS://user@localhost/users/me?x=1', { cookie: person.cookie }), { status: 400 })
  t.match(await ask('GET', 'http://localhost', {}), { status: 200 })
  t.match(await ask('GET', 'http://localhost?x=1', {}), { status: 400 })
  t.match(await ask('GET', 'http://localhost/nowhere', {}), { status: 404 })
  t.match(await ask('OPTIONS', '*', {}), { status: 404 })
})

t.test('a client that goes away in the middle harms nobody', async (t) => {
  for (const bytes of [`POST /auth/login HTTP/1.1\r\n${host}content-type: application/json\r\ncontent-length: 10\r\n\r\n{`, 'GET / HT']) {
    const before = once(app.server, 'connection')
    const socket = await openSocket()
    const [accepted] = await before as [Socket]
    const closed = once(accepted, 'close').catch(() => {})
    socket.write(bytes)
    await once(accepted, 'data').catch(() => {})
    socket.resetAndDestroy()
    await closed
  }
  t.equal((await fetch(`http://127.0.0.1:${port}/healthz`)).status, 200)
})

t.test('a request that does not arrive in time is refused', async (t) => {
  // The limits of production are seconds; those of this server are the same options, shorter.
  const quick = await open()
  const { server } = quick.app
  t.ok(server.headersTimeout > 0 && server.headersTimeout <= 10_000, 'headers have a limit')
  t.ok(server.requestTimeout > 0 && server.requestTimeout <= 15_000, 'whole requests have one')
  server.headersTimeout = 200
  server.requestTimeout = 400
  for (const [what, bytes] of Object.entries({
    'slow headers': `GET / HTTP/1.1\r\n${host}`,
    'a slow body': `POST /auth/login HTTP/1.1\r\n${host}content-type: application/json\r\ncontent-length: 10\r\n\r\n{`
  })) {
    const socket = await openSocket(quick.port)
    socket.write(bytes)
    const text = await readAll(socket)
    matchProblem(t, text, 408, 'timeout')
    t.ok(text, what)
  }
})

t.test('stopping lets requests in flight finish on their connections, and refuses new ones', async (t) => {
  const stopping = await open()
  const url = `http://127.0.0.1:${stopping.port}`
  const arrival = new Promise<void>((resolve) => { arrived = resolve })
  const running = fetch(`${url}/test/slow`)
  await arrival
  const started = performance.now()
  stopping.app.isStopping = true
  t.equal((await fetch(`${url}/readyz`)).status, 503)
  const closed = stopping.app.close()
  // Resolved once the port is closed.
  while (stopping.app.server.listening) await new Promise(setImmediate)
  await t.rejects(fetch(`${url}/healthz`, { headers: { connection: 'close' } }))
  release()
  const answer = await running
  t.equal(answer.status, 200)
  t.equal(answer.headers.get('connection'), 'close')
  t.same(await answer.json(), { done: true })
  await closed
  t.ok(performance.now() - started < 3_000, 'and nobody waits for the client to let go of its connection')
})

t.test('20 clients on open connections get no error when the server stops', async (t) => {
  const stopping = await open()
  const url = `http://127.0.0.1:${stopping.port}/healthz`
  const statuses: number[] = []
  const clients = Array.from({ length: 20 }, async () => {
    for (let isOpen = true; isOpen;) {
      const response = await fetch(url)
      statuses.push(response.status)
      isOpen = response.headers.get('connection') !== 'close'
      await response.text()
    }
  })
  while (statuses.length < 100) await new Promise(setImmediate)
  stopping.app.isStopping = true
  await t.resolves(Promise.all(clients), 'each is told that its connection ends')
  await stopping.app.close()
  t.ok(statuses.every((status) => status === 200))
})
