/** The atoms that the routes' schemas are made of, and the objects that more than one route answers with. */
import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { type EventType as EventTypeName, eventTypes, type TargetType, targetTypes } from '../services/audit.js'

/** The pattern too: the format alone lets urn:uuid: through. */
export const Uuid = Type.String({ format: 'uuid', pattern: '^[0-9A-Fa-f-]{36}$', examples: ['01890a5d-ac96-774b-bcce-b302099a8057'] })

/** A Date in our code, ISO 8601 in UTC on the wire. */
export const Time = Type.Unsafe<Date>({ type: 'string', format: 'date-time', examples: ['2026-01-31T12:00:00.000Z'] })
export const NullableTime = Type.Unsafe<Date | null>({ type: ['string', 'null'], format: 'date-time', examples: ['2026-01-31T12:00:00.000Z'] })

/** Lengths after trimming are checked by the service; these bound what it is given. */
export const Email = Type.String({ minLength: 1, maxLength: 320, description: 'An e-mail address in ASCII, at most 255 characters; surrounding blanks are dropped.', examples: ['jane@example.org'] })
export const UserName = Type.String({ minLength: 1, maxLength: 200, description: '1 to 32 characters after surrounding blanks are dropped.', examples: ['Jane Doe'] })
/** 256 characters, each of which may come decomposed into as many as four; the service counts them composed. */
export const Password = Type.String({ minLength: 1, maxLength: 1024, description: '12 to 256 characters in Unicode normal form C, unless the service asks for other lengths.', examples: ['correct horse battery staple'] })

export const User = Type.Object({
  id: Uuid,
  email: Type.String({ examples: ['jane@example.org'] }),
  name: Type.String({ examples: ['Jane Doe'] }),
  isActive: Type.Boolean({ description: 'Whether the user may sign in.', examples: [true] }),
  createdAt: Time,
  updatedAt: Time,
  lastLoginAt: NullableTime
}, { $id: 'User' })

export const Session = Type.Object({
  id: Uuid,
  createdAt: Time,
  lastSeenAt: Time,
  expiresAt: Type.Unsafe<Date>({ ...Time, description: 'When the session ends unless it is used before.' }),
  ip: Type.String({ examples: ['192.0.2.7'] }),
  userAgent: Type.Union([Type.String(), Type.Null()], { examples: ['curl/8.5.0'] }),
  current: Type.Boolean({ description: 'Whether it is the session of this request.', examples: [true] })
}, { $id: 'Session' })

/** A role, a type or an action. */
export const Name = (description: string, example: string) => Type.String({ pattern: '^[a-z][a-z0-9-]{0,62}$', description, examples: [example] })

/** Any JSON object. Not Type.Record: its pattern for names stops at line breaks, and what it misses is left out of answers. */
export const Attributes = Type.Unsafe<Record<string, unknown>>({
  type: 'object', additionalProperties: true, description: 'A JSON object of at most 16 KiB.', examples: [{ language: 'en' }]
})

export const Resource = Type.Object({
  id: Uuid,
  type: Type.String({ examples: ['document'] }),
  name: Type.String({ examples: ['Minutes'] }),
  parentId: Type.Union([Uuid, Type.Null()], { description: 'Null for the root, and where the parent is hidden from you.' }),
  attributes: Attributes,
  createdAt: Time,
  updatedAt: Time,
  allowedActions: Type.Array(Type.String(), { description: 'Which of its type\'s actions, bar `create`, you may do with it; sorted.', examples: [['edit', 'view']] }),
  creatableTypes: Type.Array(Type.String(), { description: 'Which types you may create directly under it; sorted.', examples: [['document']] })
}, { $id: 'Resource' })

export const ResourceType = Type.Object({
  name: Name('What resources name it by.', 'document'),
  actions: Type.Array(Type.String(), { description: 'All actions, sorted: the five that every type has and its own.', examples: [['create', 'delete', 'edit', 'publish', 'share', 'view']] }),
  parents: Type.Array(Type.String(), { description: 'The types under which it may stand; sorted.', examples: [['project']] }),
  creatorRole: Type.Union([Type.String(), Type.Null()], { description: 'The role that its creator is bound to.', examples: ['owner'] })
}, { $id: 'ResourceType' })

export const Role = Type.Object({
  name: Name('What bindings name it by.', 'editor'),
  description: Type.String({ examples: ['See, create and edit'] }),
  permissions: Type.Array(Type.String(), { description: '`type:action`, sorted; `*` stands for any on either side.', examples: [['*:view', 'document:edit']] }),
  builtIn: Type.Boolean({ examples: [false] })
}, { $id: 'Role' })

/** What a role or a token allows. */
export const Permissions = Type.Array(
  Type.String({ pattern: '^(\\*|[a-z][a-z0-9-]{0,62}):(\\*|[a-z][a-z0-9-]{0,62})$' }),
  { maxItems: 500, uniqueItems: true, description: '`type:action`; `*` stands for any on either side.', examples: [['document:view', 'document:edit']] })

export const AccessToken = Type.Object({
  id: Uuid,
  name: Type.String({ examples: ['backup script'] }),
  prefix: Type.String({ description: 'With which the secret begins.', examples: ['gate_0aB1cD'] }),
  permissions: Type.Union([Type.Array(Type.String()), Type.Null()], { description: 'Null: all that you may do.', examples: [['*:view']] }),
  createdAt: Time,
  lastUsedAt: Type.Unsafe<Date | null>({ ...NullableTime, description: 'Within a minute.' }),
  expiresAt: NullableTime
}, { $id: 'AccessToken' })

/** One schema rather than a union: a wrong one is one error. */
export const SubjectType = Type.Unsafe<'user' | 'group' | 'everyone'>({ type: 'string', enum: ['user', 'group', 'everyone'], examples: ['user'] })

export const Binding = Type.Object({
  id: Uuid,
  role: Type.String({ examples: ['editor'] }),
  subject: Type.Object({
    type: SubjectType,
    id: Type.Optional(Type.Union([Uuid, Type.Null()])),
    name: Type.Optional(Type.Union([Type.String(), Type.Null()]))
  }, { description: 'Id and name are null for a group that you do not see, and absent for everyone.', examples: [{ type: 'everyone' }] }),
  resourceId: Type.Union([Uuid, Type.Null()], { description: 'Null for an inherited binding on something that you do not see.' }),
  expiresAt: NullableTime,
  createdAt: Time,
  createdBy: Type.Union([Uuid, Type.Null()], { description: 'The user who made it.' })
}, { $id: 'Binding' })

export const Member = Type.Object({
  type: Type.Union([Type.Literal('user'), Type.Literal('group')]),
  id: Type.Union([Uuid, Type.Null()], { description: 'Null, as is the name, for a group that you do not see.' }),
  name: Type.Union([Type.String(), Type.Null()], { examples: ['Jane Doe'] })
}, { $id: 'Member' })

/** One schema rather than a union: shorter in the document, and quicker to write out. */
export const Decision = Type.Unsafe<'allow' | 'forbid' | 'hide'>({
  type: 'string', enum: ['allow', 'forbid', 'hide'], description: '`allow`; or `forbid`, which is a 403, where the resource is seen; or `hide`, which is a 404.', examples: ['allow']
})

export const Grant = Type.Object({
  bindingId: Uuid,
  role: Type.String({ examples: ['editor'] }),
  permission: Type.String({ description: 'As the role spells it.', examples: ['*:edit'] }),
  via: Type.Array(Type.Union([Uuid, Type.Null()]), {
    description: 'From the group that is bound inwards to the one that the user is in; empty for a binding of the user or of everyone. Null for a group that you do not see.',
    examples: [['01890a5d-ac96-774b-bcce-b302099a8057']]
  }),
  resourceId: Type.Union([Uuid, Type.Null()], { description: 'What it is bound on: the resource or something above it. Null where you do not see that.' }),
  expiresAt: NullableTime
}, { $id: 'Grant', description: 'A permission of a binding, and how it reaches the user: one for each chain of groups, of at most ten.' })

export const Explanation = Type.Object({
  decision: Decision,
  because: Type.Array(reference(Grant), { description: 'On `allow` every grant of the action; on `forbid` those that let the user see the resource; on `hide` none.' }),
  missing: Type.Union([Type.String(), Type.Null()], { description: 'The permission by which it fails; null on `allow`.', examples: ['document:edit'] }),
  expired: Type.Array(reference(Grant), { description: 'Those that ended in the last 30 days and would have allowed it; empty on `allow`.' })
}, { $id: 'Explanation' })

/** A request that was denied. */
export const Denial = Type.Object({
  requestId: Uuid,
  at: Time,
  userId: Type.Unsafe<string>({ ...Uuid, description: 'Who asked.' }),
  method: Type.String({ examples: ['PATCH'] }),
  path: Type.String({ description: 'Without the query. `:id` stands for the id of another resource that you do not see.', examples: ['/resources/01890a5d-ac96-774b-bcce-b302099a8057'] }),
  resourceId: Type.Union([Uuid, Type.Null()], { description: 'The resource whose decision failed, the root for what is administered there. Null where the path named no id.' }),
  action: Type.String({ description: 'What was to be done with it; a permission for what is administered on the root, for what was to be created in it, and for what would have been given.', examples: ['edit'] }),
  decision: Type.Unsafe<'forbid' | 'hide'>({ type: 'string', enum: ['forbid', 'hide'], description: '`forbid` for a 403, `hide` for a 404.', examples: ['forbid'] }),
  status: Type.Integer({ examples: [403] }),
  because: Type.Array(reference(Grant), { description: 'On `forbid` the grants that let the user see the resource; on `hide` none.' }),
  missing: Type.Union([Type.String(), Type.Null()], { description: 'The permission by which it failed; null where there was nothing.', examples: ['document:edit'] })
}, { $id: 'Denial' })

export const EventType = Type.Unsafe<EventTypeName>({ type: 'string', enum: [...eventTypes], examples: ['binding.created'] })

/** What a thing was like, as its kind of event tells it. */
const Told = Type.Unsafe<Record<string, unknown> | null>({ type: ['object', 'null'], additionalProperties: true, examples: [{ role: 'editor', expiresAt: null, subject: { type: 'everyone' } }] })

export const AuditEvent = Type.Object({
  id: Uuid,
  at: Time,
  type: EventType,
  actor: Type.Object({
    type: Type.Unsafe<'user' | 'operator' | 'system' | 'anonymous'>({ type: 'string', enum: ['user', 'operator', 'system', 'anonymous'] }),
    id: Type.Optional(Uuid)
  }, { description: 'Who did it: a user, whom `id` names; somebody with a shell on the server; the service by itself; or somebody who was not signed in.', examples: [{ type: 'operator' }] }),
  credential: Type.Union([Type.Object({
    type: Type.Unsafe<'session' | 'token'>({ type: 'string', enum: ['session', 'token'] }),
    id: Uuid
  }), Type.Null()], { description: 'The session or the access token by which they did.' }),
  resourceId: Type.Union([Uuid, Type.Null()], { description: 'On which it was done. Null for what is administered on the root, and for something that you do not see.' }),
  target: Type.Object({
    type: Type.Unsafe<TargetType>({ type: 'string', enum: [...targetTypes] }),
    id: Type.Union([Type.String(), Type.Null()], {
      description: 'Of roles and types the name, of members the id of the member. Null where it is hidden from you, and for a login with an address that no account has.',
      examples: Uuid['examples']
    })
  }),
  before: Type.Unsafe<Record<string, unknown> | null>({ ...Told, description: 'What the target was like; null for what was made.' }),
  after: Type.Unsafe<Record<string, unknown> | null>({ ...Told, description: 'What it is like since; null for what is gone.' }),
  requestId: Type.Union([Uuid, Type.Null()], { description: 'The `x-request-id` of the answer.' }),
  ip: Type.Union([Type.String(), Type.Null()], { examples: ['192.0.2.7'] })
}, { $id: 'AuditEvent', description: 'A change, and who made it.' })

/** What a change would change, in place of what it would answer with. */
export const DryRun = Type.Object({
  changes: Type.Array(Type.Object({
    user: Uuid,
    resource: Uuid,
    action: Type.String({ examples: ['edit'] }),
    before: Decision,
    after: Decision
  }), {
    description: 'At most 1,000 decisions, on resources that you see: first what you lose yourself, then what you gain, then those of others in the order of their ids.',
    examples: [[{ user: '01890a5d-ac96-774b-bcce-b302099a8057', resource: '0192d3c4-5b6a-7c8d-9e0f-102132435465', action: 'edit', before: 'forbid', after: 'allow' }]]
  }),
  truncated: Type.Boolean({ description: 'Whether there are more, or may be: a search that takes too long ends before.', examples: [false] })
}, { $id: 'DryRun', description: 'Which decisions a change would change. Nothing has been changed.' })

export const Problem = Type.Object({
  type: Type.String({ description: 'A URI that ends in the code.' }),
  title: Type.String(),
  status: Type.Integer(),
  detail: Type.String({ description: 'What to do, for people.' }),
  code: Type.String({ description: 'What happened, for programs; stable.' }),
  errors: Type.Optional(Type.Array(Type.Object({
    path: Type.String({ description: 'JSON Pointer to the field in the body or the query.' }),
    message: Type.String()
  })))
}, { $id: 'Problem', description: 'RFC 9457 problem details.' })

/** Registered once with the app; routes refer to them by `reference`. */
export const sharedSchemas = [User, Session, AccessToken, Resource, ResourceType, Role, Binding, Member, Grant, Explanation, Denial, AuditEvent, DryRun, Problem]

/** A reference to a shared schema, so that the OpenAPI document names it once; as a whole response it needs a description. */
export function reference<T extends TSchema> (schema: T, options: { description?: string } = {}) {
  return Type.Unsafe<Static<T>>({ $ref: `${schema.$id}#`, ...options })
}
