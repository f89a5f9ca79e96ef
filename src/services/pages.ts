/** Keyset pages: cutting a list at its limit, and the opaque cursor that goes on from there. */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { invalidField } from '../errors.js'

export interface Page<T> {
  items: T[]
  nextCursor: string | null
}

/** 128 bits of a MAC tell a cursor of ours from one that was made up or changed. */
const macLength = 16

/**
 * The position after `last` in the list `listName`, for the client to hand back.
 * @param keys secrets, the first signs
 */
export function encodeCursor (keys: readonly string[], listName: string, last: string): string {
  const position = Buffer.from(last, 'utf8')
  return Buffer.concat([mac(keys[0] as string, listName, position), position]).toString('base64url')
}

/**
 * The position that `encodeCursor` put into a cursor; undefined without a cursor.
 * @throws {DomainError} invalid-request for anything that is not a cursor of this list
 */
export function decodeCursor (keys: readonly string[], listName: string, cursor: string | undefined): string | undefined {
  if (cursor === undefined) return undefined
  const bytes = Buffer.from(cursor, 'base64url')
  const position = bytes.subarray(macLength)
  const isOurs = bytes.toString('base64url') === cursor && bytes.length > macLength &&
    keys.some((key) => timingSafeEqual(mac(key, listName, position), bytes.subarray(0, macLength)))
  if (!isOurs) throw invalidField('/cursor', 'must be a nextCursor of this list')
  return position.toString('utf8')
}

/**
 * Makes a page of rows that were read with a limit one above the page's.
 * @param keyOf the row's place in the order of the list
 */
export function cutPage<T> (rows: T[], limit: number, keyOf: (row: T) => string, encode: (last: string) => string): Page<T> {
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  return { items, nextCursor: rows.length > limit && last !== undefined ? encode(keyOf(last)) : null }
}

/** The list's name is part of what is signed: a cursor of one list is none of another (ASVS 9.2.2). */
function mac (key: string, listName: string, position: Buffer): Buffer {
  return createHmac('sha256', key).update(`cursor\0${listName}\0`).update(position).digest().subarray(0, macLength)
}
