/** Callers for tests of services, who come from nowhere in particular. */
import { v7 as uuidv7 } from 'uuid'
import type { Caller } from '../../src/services/caller.js'
import type { TestDatabase } from './database.js'

/** @param permissions those of a token to which the caller is narrowed */
export const callerOf = (userId: string, permissions: readonly string[] | null = null): Caller =>
  ({ userId, permissions, credential: null, requestId: null, ip: null })

/** Makes somebody who may change accounts and holds nothing else. */
export async function createUserEditor ({ query }: TestDatabase): Promise<Caller> {
  const id = uuidv7()
  await query("INSERT INTO users (id, email, name, password_hash) VALUES ($1, $2, 'Editor', '$argon2id$of-no-password')", [id, `${id}@example.net`])
  await query("INSERT INTO roles (name) VALUES ('user-editor') ON CONFLICT DO NOTHING")
  await query("INSERT INTO role_permissions (role, type, action) VALUES ('user-editor', 'user', 'edit') ON CONFLICT DO NOTHING")
  await query(`INSERT INTO role_bindings (id, role, resource_id, user_id, subject_id)
    VALUES ($1, 'user-editor', '00000000-0000-0000-0000-000000000000', $2, $2)`, [uuidv7(), id])
  return callerOf(id)
}
