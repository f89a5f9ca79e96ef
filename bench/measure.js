// Windows of the service and of what it is held against in turn, so that whatever else the machine does meets both; ratios are of neighbours.
import { ask, median, quantile, runWindow } from './load.js'
import { memoryOf, processorTimeOf, processorTimeOfChildren } from './servers.js'

const warmUpSeconds = 1

/**
 * @param servers the service, then the other; `postmaster`: of the PostgreSQL that it uses
 * @returns `other`: the name of the second; `rows`: for each workload and server the median of its windows; `memory`: of each server in MB, before and after
 */
export async function measure (servers, workloads, { rounds, seconds, progress }) {
  const before = servers.map(({ pid }) => memoryOf(pid))
  const rows = []
  for (const [place, workload] of workloads.entries()) {
    progress(workload.name, place, workloads.length)
    const windows = servers.map(() => [])
    for (const server of servers) await runWindow(server.url, streamsOf(workload, server, servers), warmUpSeconds)
    for (let round = 0; round < rounds; round++) {
      // Who was first is second the next time.
      for (const index of round % 2 === 0 ? [0, 1] : [1, 0]) {
        windows[index].push(await oneWindow(servers[index], streamsOf(workload, servers[index], servers), seconds))
      }
    }
    // Behind what the last window left in the middle: memory is looked at when that is over.
    for (const server of servers) await ask(server.url, streamsOf(workload, server, servers)[0].requests[0][0])
    rows.push(summarize(workload, windows))
  }
  progress('side by side', 1, 1)
  const after = servers.map(({ pid }) => memoryOf(pid))
  return { other: servers[1].name, rows, memory: servers.map(({ name }, index) => ({ name, before: before[index], after: after[index] })) }
}

const streamsOf = (workload, server, servers) => server === servers[0] ? workload.streams : workload.streamsOfOther ?? workload.streams

async function oneWindow ({ url, pid, postmaster }, streams, seconds) {
  const spent = () => [processorTimeOf(pid), processorTimeOfChildren(postmaster)]
  const before = spent()
  const window = await runWindow(url, streams, seconds)
  const [ofServer, ofDatabase] = spent().map((after, index) => after === undefined || window.count === 0 ? undefined : (after - before[index]) * 1_000 / window.count)
  return { ...window, perSecond: window.count / window.seconds, ofServer, ofDatabase }
}

function summarize ({ name, target, streams }, [ours, others]) {
  const of = (windows) => {
    const latencies = windows.flatMap((window) => window.latencies.flat()).sort((one, other) => one - other)
    return {
      perSecond: median(windows.map(({ perSecond }) => perSecond)),
      p50: quantile(latencies, 0.5),
      p99: quantile(latencies, 0.99),
      // Microseconds for each request.
      ofServer: median(windows.map(({ ofServer }) => ofServer)),
      ofDatabase: median(windows.map(({ ofDatabase }) => ofDatabase))
    }
  }
  const medians = streams.map(({ label }, index) => [label, median(ours.flatMap(({ latencies }) => latencies[index]))])
  return {
    name,
    target,
    ratio: median(ours.map(({ perSecond }, round) => perSecond / others[round].perSecond)),
    service: of(ours),
    other: of(others),
    ...streams.length > 1 && { medians: Object.fromEntries(medians) }
  }
}
