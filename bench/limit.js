// The limit: what Fastify and pg can do with this schema on this machine when nothing else is asked for. No log, no limits on
// guessing, no audit log, no security headers, no checks of what comes in; but the same bodies, which main.js compares.
// It is started as a process of its own, with the URL of the database in DATABASE_URL and the service's SESSION_SECRETS.
import { createHash, randomBytes } from 'node:crypto'
import argon2 from 'argon2'
import fastify from 'fastify'
import pg from 'pg'
import { cutPage, encodeCursor } from '../dist/services/pages.js'
import { problems } from '../dist/plugins/problem.js'
import { statements } from './limit-statements.js'

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10, idleTimeoutMillis: 0 })
const cursorKeys = process.env.SESSION_SECRETS.split(',')
const hashOf = (secret) => createHash('sha256').update(secret).digest()
const secretOf = (cookie = '') => hashOf(/sessionid=([^.;]*)/.exec(cookie)?.[1] ?? '')
const run = async (name, values) => (await pool.query({ name, text: statements[name], values })).rows

const problem = (code) => {
  const { status, title, detail } = problems[code]
  return { type: `urn:gatehouse:problem:${code}`, title, status, detail, code }
}

const standardActions = ['view', 'create', 'edit', 'delete', 'share']

function resourceOf (row) {
  const isGiven = (permissions, type, action) => permissions !== null && [`${type}:${action}`, `${type}:*`, `*:${action}`, '*:*'].some((one) => permissions.includes(one))
  if (!isGiven(row.permissions, row.type, 'view')) return undefined
  return {
    id: row.id,
    type: row.type,
    name: row.name,
    parentId: isGiven(row.above, row.parent_type, 'view') ? row.parent_id : null,
    attributes: row.attributes,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    allowedActions: [...standardActions, ...row.own_actions].filter((action) => action !== 'create' && isGiven(row.permissions, row.type, action)).sort(),
    creatableTypes: row.children.filter((type) => isGiven(row.permissions, type, 'create'))
  }
}

const signedIn = (row) => ({
  user: { id: row.id, email: row.email, name: row.name, isActive: row.is_active, createdAt: row.created_at, updatedAt: row.updated_at, lastLoginAt: row.last_login_at },
  session: { id: row.session_id, createdAt: row.session_created_at, lastSeenAt: row.last_seen_at, expiresAt: row.expires_at, ip: row.ip, userAgent: row.user_agent, current: true }
})

const app = fastify()
const refuse = (reply, code) => reply.code(problems[code].status).type('application/problem+json; charset=utf-8').send(JSON.stringify(problem(code)))

app.get('/auth/session', async (request, reply) => {
  const [row] = await run('session', [secretOf(request.headers.cookie)])
  return row === undefined ? refuse(reply, 'unauthenticated') : signedIn(row)
})

app.get('/resources/:id', async (request, reply) => {
  const [row] = await run('read', [secretOf(request.headers.cookie), request.params.id])
  if (row === undefined) return refuse(reply, 'unauthenticated')
  return (row.id === null ? undefined : resourceOf(row)) ?? refuse(reply, 'not-found')
})

app.get('/resources', async (request, reply) => {
  const [name, size] = request.query.limit === '11' ? ['shortList', 11] : ['list', 20]
  const rows = await run(name, [secretOf(request.headers.cookie)])
  if (rows.length === 0) return refuse(reply, 'unauthenticated')
  return cutPage(rows.map(resourceOf), size, ({ id }) => id, (last) => encodeCursor(cursorKeys, 'resources', last))
})

app.post('/auth/login', async (request, reply) => {
  const { email, password } = request.body
  const [known] = await run('credentials', [email])
  if (known === undefined || !await argon2.verify(known.password_hash, password)) return refuse(reply, 'invalid-credentials')
  const secret = randomBytes(24).toString('base64url')
  const [row] = await run('login', [known.id, hashOf(secret), request.ip, request.headers['user-agent']])
  reply.header('set-cookie', `sessionid=${secret}; Path=/; HttpOnly; SameSite=Lax`)
  return signedIn(row)
})

await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) })
process.stdout.write(`ready at ${app.listeningOrigin}\n`)
process.on('SIGTERM', async () => {
  await app.close()
  await pool.end()
})
