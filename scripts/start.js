// `npm start`: sets the checkout up when needed, and becomes the service.
import './navigator.js'
import { setUp } from './setup.js'

await setUp()
await import('../dist/main.js')
