/** The people and things that the tests of resources begin with. */
import { randomBytes } from 'node:crypto'
import { Signer } from '@fastify/cookie'
import { v7 as uuidv7 } from 'uuid'
import { makeOwnerOfRoot } from '../../src/services/bindings.js'
import { startSession } from '../../src/services/sessions.js'
import { openTestApp, type RequestOptions, type Response, secrets, type TestApp } from '../helpers/app.js'
import { openTestDatabase, type TestDatabase } from '../helpers/database.js'

export const rootId = '00000000-0000-0000-0000-000000000000'
export const absentId = '01890a5d-ac96-774b-bcce-b302099a8057'

export interface Person { id: string, email: string, name: string, cookie: string }

export interface World {
  database: TestDatabase
  testApp: TestApp
  request: TestApp['request']
  /** The owner of the root. */
  administrator: Person
  /** Somebody with an account and a session, who holds what everyone does. */
  person: () => Promise<Person>
  /** Sends a request as somebody. */
  as: (who: Person, method: string, url: string, body?: unknown, options?: RequestOptions) => Promise<Response>
  /** Creates a resource as its owner's `who`, and gives its id. */
  create: (who: Person, type: string, parentId?: string, name?: string) => Promise<string>
  /** Makes a role of these permissions. @returns its name */
  role: (...permissions: string[]) => Promise<string>
  /** Lets the administrator bind somebody to permissions on a resource. @returns the binding's id */
  give: (subject: { id: string } | 'everyone', resourceId: string, ...permissions: string[]) => Promise<string>
  /** Lets the administrator bind a role. @returns the binding's id */
  bind: (resourceId: string, role: string, subject: object, expiresAt?: string) => Promise<string>
}

/** A database of the test file's own, the application on it, and an owner of the root. */
export async function openWorld (): Promise<World> {
  const database = await openTestDatabase()
  const testApp = await openTestApp(database)
  const { request, app: { config } } = testApp
  const signer = new Signer(secrets)
  let counter = 0

  // Without the API: hashing a password for each would take most of the tests' time.
  const person: World['person'] = async () => {
    const account = { id: uuidv7(), email: `person${++counter}@example.org`, name: `Person ${counter}` }
    await database.db.user.create({ data: { ...account, passwordHash: '$argon2id$of-no-password' } })
    const secret = randomBytes(24).toString('base64url')
    await startSession(database.db, { userId: account.id, secret, ip: '192.0.2.1', userAgent: undefined }, config)
    return { ...account, cookie: `sessionid=${encodeURIComponent(signer.sign(secret))}` }
  }
  const administrator = await person()
  await makeOwnerOfRoot(database.db, administrator.id)

  const as: World['as'] = async (who, method, url, body, options = {}) =>
    await request(method, url, { cookie: who.cookie, ...(body === undefined ? {} : { body }), ...options })
  /** What a test only wants to have; 201 expected. */
  const make = async (who: Person, url: string, body: object): Promise<any> => {
    const response = await as(who, 'POST', url, body)
    if (response.status !== 201) throw new Error(`POST ${url} ${JSON.stringify(body)}: ${response.status} ${response.text}`)
    return response.body
  }
  const create: World['create'] = async (who, type, parentId, name = `${type} ${++counter}`) =>
    (await make(who, '/resources', { type, name, ...(parentId === undefined ? {} : { parentId }) })).id
  const role: World['role'] = async (...permissions) => (await make(administrator, '/roles', { name: `role-${++counter}`, permissions })).name
  const bind: World['bind'] = async (resourceId, role, subject, expiresAt) =>
    (await make(administrator, `/resources/${resourceId}/bindings`, { role, subject, ...(expiresAt === undefined ? {} : { expiresAt }) })).id
  const give: World['give'] = async (subject, resourceId, ...permissions) =>
    await bind(resourceId, await role(...permissions), subject === 'everyone' ? { type: 'everyone' } : { type: 'user', id: subject.id })
  return { database, testApp, request, administrator, person, as, create, role, give, bind }
}

/** A document in a project in an organization, and who owns them. */
export async function plantTree ({ create, person }: World) {
  const owner = await person()
  const organization = await create(owner, 'organization')
  const project = await create(owner, 'project', organization)
  return { owner, organization, project, document: await create(owner, 'document', project, 'Minutes') }
}

/** The codes of the fields that a 400 finds at fault, as `path message`. */
export const faults = ({ body }: Response): string[] => body.errors?.map(({ path, message }: { path: string, message: string }) => `${path} ${message}`)

/** Follows a list to its end. @returns the pages' items */
export async function readPages (world: World, who: Person, url: string): Promise<any[][]> {
  const pages: any[][] = []
  for (let cursor: string | null = ''; cursor !== null;) {
    const { status, body, text } = await world.as(who, 'GET', cursor === '' ? url : `${url}${url.includes('?') ? '&' : '?'}cursor=${encodeURIComponent(cursor)}`)
    if (status !== 200) throw new Error(`GET ${url}: ${status} ${text}`)
    pages.push(body.items)
    cursor = body.nextCursor
    if (pages.length > 1_000) throw new Error(`${url} does not end`)
  }
  return pages
}
