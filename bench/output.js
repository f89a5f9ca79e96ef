// How the benchmark speaks: a bar while it works, on a terminal, and tables in Markdown at the end.
const width = 30
let last = ''

/** To standard error: standard output has the tables alone. */
export function say (line) {
  clear()
  process.stderr.write(`${line}\n`)
}

/** Shows how far something is; on a terminal as a bar that moves, elsewhere as a line when something else begins. */
export function progress (what, done, total) {
  if (process.stderr.isTTY) {
    const share = total === undefined ? undefined : Math.min(1, done / total)
    const bar = share === undefined ? `${done.toLocaleString('en')} rows` : `[${'#'.repeat(Math.round(share * width)).padEnd(width)}] ${Math.round(share * 100)} %`
    process.stderr.write(`\r\x1b[K${bar} ${what}`)
  } else if (what !== last) {
    process.stderr.write(`${what}\n`)
  }
  last = what
}

function clear () {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
}

const round = (value, digits = 0) => value === undefined || Number.isNaN(value) ? '' : value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })

function table (head, rows) {
  const lines = [head, head.map((_, place) => place === 0 ? '---' : '---:'), ...rows]
  return `${lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}\n\n`
}

export function formatTables ({ resources, other, rows, memory, asking, writes }) {
  clear()
  const parts = []
  if (rows.length > 0) {
    parts.push(table(
      [`${resources.toLocaleString('en')} resources`, 'requests/s', `of ${other}`, 'target', 'p50 ms', 'p99 ms', 'CPU µs', 'in the database', `${other}: requests/s`, 'p50 ms', 'p99 ms', 'CPU µs', 'in the database'],
      rows.map(({ name, ratio, target, service, other }) => [
        name, round(service.perSecond), round(ratio, 2), round(target, 2), round(service.p50, 1), round(service.p99, 1), round(service.ofServer), round(service.ofDatabase),
        round(other.perSecond), round(other.p50, 1), round(other.p99, 1), round(other.ofServer), round(other.ofDatabase)
      ])))
    parts.push(table(['resident memory, MB', 'before', 'after'], memory.map(({ name, before, after }) => [name, round(before), round(after)])))
  }
  for (const { name, medians } of rows.filter((row) => row.medians !== undefined)) {
    const [[one, ms], [other, otherMs]] = Object.entries(medians)
    parts.push(`${name}: ${one} ${round(ms, 2)} ms, ${other} ${round(otherMs, 2)} ms at the median, ${round(Math.abs(ms / otherMs - 1) * 100, 1)} % apart (at most 10)\n\n`)
  }
  if (asking.length > 0) {
    parts.push(table(['asked one at a time', 'p50 ms', 'p99 ms', 'at most'], asking.map(({ name, p50, p99, mostMs, ratio }) =>
      [ratio === undefined ? name : `${name} (${round(ratio, 1)} times that of 1, at most 3)`, round(p50, 2), round(p99, 2), round(mostMs)])))
  }
  const isSmall = ({ p50 }) => p50 !== undefined
  if (writes.length > 0) {
    parts.push(table(['written one at a time', 'p50 ms', 'p99 ms'], writes.filter(isSmall).map(({ name, p50, p99 }) => [name, round(p50, 2), round(p99, 2)])))
    parts.push(table(['long writes', 'ms', 'reads elsewhere meanwhile: p50 ms', 'p99 ms', 'longest', 'before: p50 ms', 'p99 ms', 'longest'], writes.filter((row) => !isSmall(row)).map(({ name, ms, reads: { before, during } }) =>
      [name, round(ms), ...[during, before].flatMap(({ p50, p99, longest }) => [round(p50, 1), round(p99, 1), round(longest, 1)])])))
  }
  return parts.join('')
}
