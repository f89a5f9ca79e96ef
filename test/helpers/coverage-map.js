/**
 * Which tests show what they cover: those that always do the same, and not those that prove how parts go together or run what is not in
 * src. Those of processes show what these run (test/process/fixtures/coverage.ts).
 */
export default (file) => /authorization|process|races|tools/.test(file) ? null : []
