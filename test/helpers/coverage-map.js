/** Which tests show what they cover: those that always do the same, and not those that prove how parts go together or run what is not in src. */
export default (file) => /authorization|process.setup|prisma/.test(file) ? null : []
