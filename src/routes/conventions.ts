/** What routes take and answer alike: ids in paths, pages of lists, dry runs, and nothing. */
import { type TSchema, Type } from '@sinclair/typebox'
import { DryRun, reference, Uuid } from './schemas.js'

export const defaultLimit = 20

/** The query of every list. */
export const PageQuery = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: defaultLimit, description: 'How many items a page has at most.' })),
  cursor: Type.Optional(Type.String({ minLength: 1, maxLength: 500, description: 'The `nextCursor` of the page before.' }))
}

/** The query of a change that can be tried first. */
export const DryRunQuery = Type.Object({
  dryRun: Type.Optional(Type.Boolean({ description: 'Change nothing, and answer with the decisions that the change would change.', examples: [true] }))
}, { additionalProperties: false })

/** The answer to a dry run, where the change itself is answered with another status. */
export const DryRunResponse = { 200: reference(DryRun, { description: 'With `dryRun`: what would change.' }) }

/** The answer to a change or to a dry run of it. */
export function orDryRun<T extends TSchema> (schema: T, description: string) {
  return Type.Union([reference(schema), reference(DryRun)], { description: `${description} With \`dryRun\`: what would change.` })
}

export function pageOf<T extends TSchema> (item: T) {
  return Type.Object({
    items: Type.Array(item),
    nextCursor: Type.Union([Type.String(), Type.Null()], { description: 'Null on the last page.' })
  }, { description: 'A page of the list.' })
}

/** A response without a body. */
export const Empty = Type.Null({ description: 'Done.' })

/** The resource in a path. */
export const ResourceId = Type.Object({ id: Type.String({ description: 'The resource\'s id; `root` stands for the root\'s.', examples: ['root'] }) })

/** The user in a path. */
export const UserId = Type.Object({ id: Type.String({ description: 'The user\'s id.', examples: Uuid['examples'] }) })

export const SearchText = Type.String({ minLength: 1, maxLength: 100, description: 'Literally, anywhere in the name, whatever its case.', examples: ['minutes'] })
