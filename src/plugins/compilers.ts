/** How schemas become code that checks requests and writes answers: not before one of them needs it. */
import buildValidators, { type RouteDefinition, type ValidatorFactory } from '@fastify/ajv-compiler'
import buildSerializers, { type Serializer, type SerializerFactory } from '@fastify/fast-json-stringify-compiler'

const validatorsOf = buildValidators()
const serializersOf = buildSerializers()

/** What stands for a function until it is first called, and is made then. */
function atFirstCall<Parameters extends unknown[], Result> (make: () => (...parameters: Parameters) => Result): (...parameters: Parameters) => Result {
  let made: ReturnType<typeof make> | undefined
  return (...parameters) => (made ??= make())(...parameters)
}

/**
 * For app.ts: Fastify would compile hundreds of schemas at each start, which took a third of its processor time, and most of them no
 * process ever needs.
 */
export const compilers = {
  buildValidator: ((schemas, options) => {
    const compile = atFirstCall(() => validatorsOf(schemas, options))
    return (part: RouteDefinition) => atFirstCall(() => {
      const validate = compile(part)
      // The errors go with the answer: Fastify would look for them on the function that it was given.
      return (value: unknown) => validate(value) === true || { error: validate.errors }
    })
  }) as ValidatorFactory,
  /** Each schema once, however many responses have it, such as that of problems. */
  buildSerializer: ((schemas, options) => {
    const compile = serializersOf(schemas, options)
    const known = new Map<string, Serializer>()
    return (response) => {
      const key = JSON.stringify(response.schema)
      const serializer = known.get(key) ?? atFirstCall(() => compile(response))
      known.set(key, serializer)
      return serializer
    }
  }) satisfies SerializerFactory
}
