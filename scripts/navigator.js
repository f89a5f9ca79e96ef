// As Node 21 has it. Where it is missing, pg makes a Response to see whose runtime this is, and that loads all of fetch: 27 ms and 9 MB.
globalThis.navigator ??= { userAgent: `Node.js/${process.versions.node.split('.')[0]}` }
