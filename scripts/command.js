// `npm run create-admin` and its like: sets the checkout up when needed, and becomes the command of that name.
import './navigator.js'
import { setUp } from './setup.js'

const [name] = process.argv.splice(2, 1)
await setUp()
await import(`../dist/commands/${name}.js`)
