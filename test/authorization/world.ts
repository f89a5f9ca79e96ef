/**
 * People, things in the tree and rights, written straight into a database and noted for the reference evaluator: the tests
 * here need hundreds of them, argon2 is slow on purpose, and a world that the product made would agree with the product.
 */
import { randomBytes } from 'node:crypto'
import { Signer } from '@fastify/cookie'
import { v4 as uuidv4, v7 as uuidv7 } from 'uuid'
import { hashSessionSecret } from '../../src/services/sessions.js'
import { hashToken, makeToken } from '../../src/services/token-secrets.js'
import { secrets } from '../helpers/app.js'
import type { TestDatabase } from '../helpers/database.js'
import { freshWorld, type Subject } from '../reference/world.js'

const everyoneId = 'ffffffff-ffff-ffff-ffff-ffffffffffff'

const signer = new Signer(secrets)
/** Fits no password. */
const noHash = '$argon2id$none'

export interface Person { id: string, name: string, email: string, cookie: string }

/** The functions that put things into one database, which must be fresh, past the API and all its checks. */
export function openWorld ({ query }: Pick<TestDatabase, 'query'>) {
  const reference = freshWorld()

  /** A session that needs no write for an hour, so that each request costs the same statements. @returns the cookie */
  async function openSession (userId: string, id = uuidv7()): Promise<string> {
    const secret = randomBytes(24).toString('base64url')
    await query(`INSERT INTO sessions (id, secret_hash, user_id, last_seen_at, expires_at, absolute_expires_at, ip)
      VALUES ($1, $2, $3, now() + interval '1 hour', now() + interval '1 day', now() + interval '1 day', '127.0.0.1')`,
    [id, Buffer.from(hashSessionSecret(secret)), userId])
    return `sessionid=${encodeURIComponent(signer.sign(secret))}`
  }

  /** A token that was used in the hour to come, so that each request costs the same statements. @returns its secret */
  async function openToken (userId: string, permissions: string[] | null = null, id = uuidv7()): Promise<string> {
    const { secret, prefix } = makeToken()
    await query(`INSERT INTO access_tokens (id, secret_hash, user_id, name, prefix, permissions, last_used_at)
      VALUES ($1, $2, $3, 'a token', $4, $5, now() + interval '1 hour')`, [id, Buffer.from(hashToken(secret)), userId, prefix, permissions])
    return secret
  }

  /** @param narrowedTo the permissions of a token by which they ask */
  async function addPerson (
    name: string, { passwordHash = noHash, isActive = true, narrowedTo }: { passwordHash?: string, isActive?: boolean, narrowedTo?: string[] } = {}
  ): Promise<Person> {
    const id = uuidv7()
    const email = `${name.toLowerCase().replaceAll(' ', '.')}.${id}@example.org`
    await query('INSERT INTO users (id, email, name, password_hash, is_active) VALUES ($1, $2, $3, $4, $5)', [id, email, name, passwordHash, isActive])
    reference.users.push({ id, name, isActive, ...(narrowedTo === undefined ? {} : { narrowedTo }) })
    return { id, name, email, cookie: await openSession(id) }
  }

  /** @returns the id */
  async function addResource (type: string, parentId: string, name = `a ${type}`): Promise<string> {
    const id = uuidv7()
    await query('INSERT INTO resources (id, type, name, parent_id) VALUES ($1, $2, $3, $4)', [id, type, name, parentId])
    reference.resources.push({ id, type, name, parentId })
    return id
  }

  /** @returns the id */
  async function bind (role: string, subject: Subject, resourceId: string, { isExpired = false } = {}): Promise<string> {
    const bindingId = uuidv7()
    const id = subject.type === 'everyone' ? null : subject.id
    await query(`INSERT INTO role_bindings (id, role, resource_id, user_id, group_id, subject_id, expires_at)
      VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $7 THEN now() - interval '1 second' END)`,
    [bindingId, role, resourceId, subject.type === 'user' ? id : null, subject.type === 'group' ? id : null, id ?? everyoneId, isExpired])
    reference.bindings.push({ id: bindingId, role, subject, resourceId, expiresAt: isExpired ? reference.now : null })
    return bindingId
  }

  async function join (groupId: string, { type, id }: Exclude<Subject, { type: 'everyone' }>): Promise<void> {
    await query('INSERT INTO group_members (id, group_id, user_id, member_group_id) VALUES ($1, $2, $3, $4)',
      [uuidv7(), groupId, type === 'user' ? id : null, type === 'group' ? id : null])
    reference.members.push({ groupId, memberId: id })
  }

  async function addRole (name: string, permissions: string[]): Promise<void> {
    await query('INSERT INTO roles (name) VALUES ($1)', [name])
    await query(`INSERT INTO role_permissions (role, type, action)
      SELECT $1, split_part(p, ':', 1), split_part(p, ':', 2) FROM unnest($2::text[]) p`, [name, permissions])
    reference.roles.push({ name, permissions, builtIn: false })
  }

  /** @returns the name */
  async function addType (name: string): Promise<string> {
    await query('INSERT INTO resource_types (name) VALUES ($1)', [name])
    reference.types.push({ name, ownActions: [], parents: [], creatorRole: null })
    return name
  }

  /** Lets somebody have asked in vain to see something that is hidden, or absent. @returns the request's id */
  async function addDenial (userId: string, resourceId = uuidv7()): Promise<string> {
    const requestId = uuidv4()
    await query(`INSERT INTO denials (request_id, at, user_id, method, path, resource_id, action, decision, status, because)
      VALUES ($1, now(), $2, 'GET', $3, $4, 'view', 'hide', 404, '[]')`, [requestId, userId, `/resources/${resourceId}`, resourceId])
    return requestId
  }

  return { reference, openSession, openToken, addPerson, addResource, bind, join, addRole, addType, addDenial }
}

export type World = ReturnType<typeof openWorld>
