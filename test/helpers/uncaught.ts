/**
 * An error that nobody caught ends the process, which fails its file. By itself tap would find the test to which it belongs,
 * and has Node report the life of every promise for that: a third of the time of tests that send requests by the thousand.
 */
import t from 'tap'

interface Followed {
  hook: { onDestroy?: () => void }
  hookDomain: { destroy: () => void }
  on: (event: 'subtestAdd', listener: (child: unknown) => void) => void
}

/** Before a test begins, so that none of those that wait for their turn has it follow all others. */
function leaveAlone (test: Followed): void {
  test.hookDomain.destroy()
  test.hook.onDestroy?.()
  test.on('subtestAdd', (child) => { leaveAlone(child as Followed) })
}

// From its first output on tap follows whatever belongs to no test, unless that is over already.
if (!t.registered) t.pipe(process.stdout)
leaveAlone(t as unknown as Followed)
