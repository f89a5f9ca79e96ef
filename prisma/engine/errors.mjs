// @ts-check
// Gives back the error codes of Prisma's documentation where the engine compiled to WebAssembly knows only a sentence.

/**
 * An error as the command line shows it: the code first, then the message.
 * @typedef {{ error_code?: string, message: string, meta?: object, is_panic?: boolean }} UserFacingError
 */

/**
 * Says in Prisma's words why PostgreSQL let nobody in.
 * Codes and sentences: https://www.prisma.io/docs/orm/reference/error-reference#common
 * @param {unknown} thrown what `pg` threw while connecting
 * @param {URL} address of the database
 * @returns {UserFacingError}
 */
export function connectionError (thrown, address) {
  // A name with an IPv6 and an IPv4 address fails with one error for each; they say the same.
  const error = thrown instanceof AggregateError ? thrown.errors[0] : thrown
  const code = String(error?.code ?? '')
  const message = String(error?.message ?? error)
  const user = decodeURIComponent(address.username)
  const database = databaseName(address)
  const server = `${address.searchParams.get('host') ?? address.hostname}:${address.port || 5432}`
  const hint = `Please make sure your database server is running at \`${server}\`.`

  if (['28P01', '28000'].includes(code)) {
    return {
      error_code: 'P1000',
      message: `Authentication failed against database server, the provided database credentials for \`${user}\` are not valid.\n\nPlease make sure to provide valid database credentials for the database server at the configured address.`
    }
  }
  if (code === '3D000') return { error_code: 'P1003', message: `Database \`${database}\` does not exist on the database server at \`${server}\`.` }
  if (code === '42501') return { error_code: 'P1010', message: `User \`${user}\` was denied access on the database \`${database}\`` }
  if (/\bSSL\b|certificate/i.test(message)) return { error_code: 'P1011', message: `Error opening a TLS connection: ${message}` }
  if (code === 'ETIMEDOUT' || /timeout/i.test(message)) {
    return { error_code: 'P1002', message: `The database server at \`${server}\` was reached but timed out.\n\nPlease try again.\n\n${hint}` }
  }
  // PostgreSQL's own refusals (starting up, too many connections) have codes of five signs; they are said as they are.
  if (/^[0-9A-Z]{5}$/.test(code) && !error.syscall) return { message }
  return { error_code: 'P1001', message: `Can't reach database server at \`${server}\`\n\n${hint}` }
}

/**
 * @param {string} migrationName
 * @param {{ code?: string, message: string }} error from PostgreSQL
 * @returns {UserFacingError}
 */
export function migrationFailed (migrationName, error) {
  return {
    error_code: 'P3018',
    message: `A migration failed to apply. New migrations cannot be applied before the error is recovered from. Read more about how to resolve migration issues in a production database: https://pris.ly/d/migrate-resolve

Migration name: ${migrationName}

Database error code: ${error.code ?? 'none'}

Database error:
ERROR: ${error.message}`
  }
}

/**
 * @param {{ message: string }} error from PostgreSQL
 * @returns {UserFacingError}
 */
export function shadowDatabaseRefused (error) {
  return {
    error_code: 'P3014',
    message: `Prisma Migrate could not create the shadow database. Please make sure the database user has permission to create databases. Read more about the shadow database (and workarounds) at https://pris.ly/d/migrate-shadow\n\nOriginal error:\n${error.message}`
  }
}

/**
 * @param {URL} address
 * @returns {string} the name of the database, as PostgreSQL knows it
 */
export function databaseName (address) {
  return decodeURIComponent(address.pathname.slice(1)) || decodeURIComponent(address.username)
}
