/** Where a command gets a password from: never from its arguments, which every user of the machine can read. */
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'

/** For the usage of a command that calls `readPassword`. */
export const passwordUsage = '(the password is asked for, or read as one line from standard input)'

/** Asks twice, without showing what is typed; where standard input is no terminal, takes its first line. */
export async function readPassword (): Promise<string> {
  const isTerminal = process.stdin.isTTY
  // Readline shows on its output what is typed: here that goes nowhere. Without a history, no key brings it back.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const input = createInterface({ input: process.stdin, ...(isTerminal ? { output: nowhere, terminal: true, historySize: 0 } : {}) })
  const lines = input[Symbol.asyncIterator]()
  const ask = async (prompt: string) => {
    // Not standard output, which may be a file: the question is for whoever types.
    if (isTerminal) process.stderr.write(prompt)
    const { value, done } = await lines.next()
    if (isTerminal) process.stderr.write('\n')
    if (done === true) throw new Error('no password came: type it on a terminal, or pipe one line into the command')
    return value
  }
  const password = await ask('Password: ')
  if (isTerminal && await ask('Password (again): ') !== password) throw new Error('the two passwords differ: nothing was changed')
  input.close()
  return password
}
