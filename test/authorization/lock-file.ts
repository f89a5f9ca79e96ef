/** The form of `authz.lock`: a table for people, in which each route is one line of a diff. */

const preamble = `# Who gets which answer from which route. Made by calling the application: npm run authz:lock
#
# Everybody sends a request that is valid. The roles are bound on one organization ("the organization"), in which the
# documents, projects and groups stand, unless a line says otherwise; everyone who is signed in holds the role member on
# the root, as after a fresh install.
#   anonymous        no session                           group member  in a group in a group that is editor
#   stranger         signed in, no role                   expired       owner until a second ago
#   viewer, editor, owner                                 deactivated   owner, whose account has been deactivated
#   owner elsewhere  owner of the other organization      root owner    owner of the root
#   by token         owner of the root, by a token        by viewing token  the same, narrowed to *:view
# HEAD answers as GET does.
`

/** @param columns the personas */
export function writeTable (columns: string[], rows: Array<{ route: string, statuses: number[] }>): string {
  const width = Math.max(...rows.map(({ route }) => route.length))
  const line = (first: string, cells: string[]) =>
    [first.padEnd(width), ...cells.map((cell, index) => cell.padEnd((columns[index] as string).length))].join('  ').trimEnd()
  return `${preamble}\n${[line('', columns), ...rows.map(({ route, statuses }) => line(route, statuses.map(String)))].join('\n')}\n`
}

/** The lines that are in one of two texts only, as a diff shows them; empty when the texts are the same. */
export function describeDifference (before: string, after: string): string {
  const [old, present] = [before.split('\n'), after.split('\n')]
  const lines = [...old.filter((line) => !present.includes(line)).map((line) => `- ${line}`), ...present.filter((line) => !old.includes(line)).map((line) => `+ ${line}`)]
  if (lines.length === 0) return before === after ? '' : 'the same lines, in another order'
  const head = present.find((line) => line.includes('anonymous  stranger')) ?? ''
  return [`  ${head}`, ...lines.sort((one, other) => one.slice(2) < other.slice(2) ? -1 : 1)].join('\n')
}
