/** The requests by which somebody could try to tell the hidden from the absent, and what there is to hide. */
import { v7 as uuidv7 } from 'uuid'
import { rootId } from '../reference/world.js'
import type { Answer, Asking } from './answers.js'
import type { Route } from './route-table.js'
import type { Person, World } from './world.js'

/** The id of nothing. */
export const absentId = '01890a5d-ac96-774b-bcce-b302099a8057'
const absentToo = '01890a5d-ac96-774b-bcce-b302099a8058'

export const methods = ['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE']

/** What is no id at all, short and long. */
export const malformedIds = [
  'x', '%00', '%20', '%F0%9F%94%91', 'root%20', '..%2Froot', `${absentId}0`, absentId.slice(1), absentId.replaceAll('-', ''), `%7B${absentId}%7D`, `urn:uuid:${absentId}`, 'f'.repeat(5_000)
]

export interface Attempt extends Asking {
  title: string
  query?: string
}

const json = { 'content-type': 'application/json' }

/** Every way to send a request: with queries, with headers, and where the method takes one with bodies, good and bad for some route. */
export function attempts (method: string): Attempt[] {
  const plain: Attempt[] = [
    { title: 'bare' },
    ...['recursive=true', 'recursive=maybe', 'inherited=true', 'limit=1', 'limit=0', 'cursor=x', 'nonsense=1', 'dryRun=true'].map((query) => ({ title: `?${query}`, query })),
    ...['"1"', '"999"', '*', 'nonsense'].map((tag) => ({ title: `If-Match ${tag}`, headers: { 'if-match': tag } })),
    { title: 'If-None-Match', headers: { 'if-none-match': '"1"' } },
    { title: 'a preflight', headers: { origin: 'https://app.example.org', 'access-control-request-method': 'PATCH' } }
  ]
  if (['GET', 'HEAD', 'OPTIONS'].includes(method)) return plain
  const bodies: Array<[string, unknown]> = [
    ['empty', {}], ['a name', { name: 'changed' }], ['attributes', { attributes: { a: 1 } }], ['a parent', { parentId: rootId }], ['no parent', { parentId: absentToo }],
    ['a binding', { role: 'viewer', subject: { type: 'everyone' } }], ['of no role', { role: 'none', subject: { type: 'everyone' } }],
    ['an account', { isActive: false }], ['unknown', { nonsense: true }], ['of other types', { name: 1, parentId: 2 }], ['a list', []]
  ]
  return [
    ...plain,
    ...bodies.map(([title, body]) => ({ title: `body: ${title}`, body })),
    { title: 'a version and a body', headers: { 'if-match': '"1"' }, body: { name: 'changed' } },
    { title: 'broken JSON', headers: json, payload: '{"name":' },
    { title: 'too long', headers: json, payload: `{"name":"${'x'.repeat(70_000)}"}` },
    { title: 'of another type', headers: { 'content-type': 'text/plain' }, payload: 'name=changed' }
  ]
}

/** Everything here is hidden from `asker`, who owns an organization of their own. */
export async function buildSecrets (world: World) {
  const keeper = await world.addPerson('Keeper')
  const keeperSession = uuidv7()
  const keeperToken = uuidv7()
  await world.openSession(keeper.id, keeperSession)
  await world.openToken(keeper.id, null, keeperToken)
  const asker = await world.addPerson('Asker')
  const asUser = ({ id }: Person) => ({ type: 'user', id }) as const

  const organization = await world.addResource('organization', rootId)
  const project = await world.addResource('project', organization)
  const document = await world.addResource('document', project)
  const group = await world.addResource('group', organization)
  await world.join(group, asUser(keeper))
  for (const place of [rootId, organization]) await world.bind('owner', asUser(keeper), place)
  const binding = await world.bind('viewer', asUser(keeper), document)
  const deniedRequest = await world.addDenial(keeper.id, document)
  const requestForNothing = await world.addDenial(keeper.id)

  const own = await world.addResource('organization', rootId)
  const ownDocument = await world.addResource('document', own)
  const ownGroup = await world.addResource('group', own)
  const ownBinding = await world.bind('owner', asUser(asker), own)
  // Hidden groups that others have let into the asker's own things.
  const memberGroup = await world.addResource('group', organization)
  await world.join(ownGroup, { type: 'group', id: memberGroup })
  const boundGroup = await world.addResource('group', organization)
  await world.bind('viewer', { type: 'group', id: boundGroup }, ownDocument)

  // What the asker may do everything with but not see, and one below it that they do see: hidden parent, hidden child.
  await world.addRole('blind', ['*:create', '*:edit', '*:delete', '*:share'])
  await world.addRole('of-projects', ['project:view', 'project:edit', 'project:share', 'project:create', 'document:create'])
  const blind = await world.addPerson('Blind')
  await world.bind('blind', asUser(blind), organization)
  const expired = await world.addPerson('Expired')
  await world.bind('owner', asUser(expired), organization, { isExpired: true })
  const lent = await world.addResource('project', await world.addResource('organization', rootId))
  const hiddenChild = await world.addResource('document', lent)
  await world.bind('of-projects', asUser(asker), lent)
  const deactivated = await world.addPerson('Deactivated', { isActive: false })

  return {
    keeper,
    keeperSession,
    keeperToken,
    asker,
    blind,
    expired,
    deactivated,
    organization,
    project,
    document,
    group,
    binding,
    deniedRequest,
    requestForNothing,
    own,
    ownDocument,
    ownGroup,
    ownBinding,
    memberGroup,
    boundGroup,
    lent,
    hiddenChild
  }
}

export type Secrets = Awaited<ReturnType<typeof buildSecrets>>

/**
 * What is hidden behind a parameter of a route; undefined where nobody has said so yet.
 * @returns `hidden`: ids that exist; `path`: the route's path with `:it` for the parameter and the asker's own things for the others
 */
export function secretsBehind ({ url, access }: Route, parameter: string, secrets: Secrets): { hidden: string[], path: string } | undefined {
  const own = url.startsWith('/groups/') ? secrets.ownGroup : secrets.ownDocument
  const path = url.replace(/:(\w+)/g, (_whole, name: string) => name === parameter ? ':it' : name === 'id' ? own : absentId)
  if (parameter === 'id' && typeof access === 'object' && 'resource' in access) {
    const { organization, project, document, group } = secrets
    // For a group, whatever is none is not there, even one's own.
    return { path, hidden: access.type === 'group' ? [group, document, secrets.ownDocument] : [document, project, organization, group] }
  }
  if (parameter === 'id' && typeof access === 'object' && 'user' in access) return { path, hidden: [secrets.keeper.id, secrets.deactivated.id] }
  // A session or a token of somebody else is none of one's own.
  if (parameter === 'sessionId') return { path, hidden: [secrets.keeperSession] }
  // Of somebody who was denied what the asker may not share either.
  if (parameter === 'requestId') return { path, hidden: [secrets.deniedRequest, secrets.requestForNothing] }
  if (parameter === 'tokenId') return { path, hidden: [secrets.keeperToken] }
  // A binding on something else, hidden or one's own, is not on this.
  if (parameter === 'bindingId') return { path, hidden: [secrets.binding, secrets.ownBinding] }
  if (parameter === 'memberId') return { path, hidden: [secrets.group, secrets.memberGroup, secrets.document, secrets.ownDocument] }
  // Everybody who is signed in may list roles and types.
  if (parameter === 'name' && /^\/(roles|resource-types)\/:name$/.test(url)) return { path, hidden: [] }
  return undefined
}

/** What differs between two answers, in words; empty when nobody could tell them apart. */
export function tellApart (title: string, one: Answer, other: Answer): string[] {
  const keys = ['status', 'headers', 'payload', 'statements'] as const
  return keys.filter((key) => JSON.stringify(one[key]) !== JSON.stringify(other[key]))
    .map((key) => `${title}: ${key} ${JSON.stringify(one[key])} or ${JSON.stringify(other[key])}`)
}
