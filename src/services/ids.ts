/** Ids and names as clients send them in a path. */

/** The id of nothing. */
export const nobodys = 'ffffffff-ffff-ffff-ffff-fffffffffffe'
/** None comes after it. */
export const lastId = 'ffffffff-ffff-ffff-ffff-ffffffffffff'

export function isUuid (text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)
}

/** An id in the form in which it is stored; what is no UUID becomes the id of nothing, which costs what any unknown one does. */
export function toId (text: string): string {
  return isUuid(text) ? text.toLowerCase() : nobodys
}

/** The name of a role or a type; what can be none becomes one that nothing has, and never reaches the database. */
export function toName (text: string): string {
  return /^[a-z][a-z0-9-]{0,62}$/.test(text) ? text : ''
}
