/** How answers are written: by their schemas, each compiled once. */
import compilerFactory, { type Serializer, type SerializerFactory } from '@fastify/fast-json-stringify-compiler'

const buildCompiler = compilerFactory()

/** For app.ts: Fastify would compile the schema of problems anew for each of the hundreds of responses that have it, which is most of a start. */
export const sharedSerializers: SerializerFactory = (schemas, options) => {
  const compile = buildCompiler(schemas, options)
  const compiled = new Map<string, Serializer>()
  return (response) => {
    const key = JSON.stringify(response.schema)
    const serializer = compiled.get(key) ?? compile(response)
    compiled.set(key, serializer)
    return serializer
  }
}
