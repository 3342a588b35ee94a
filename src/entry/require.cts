// The library, as `require` gets it. Plain statements that any Node can read: the rest is loaded after the check.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
  throw new Error(`iso-rehydrate needs Node.js 22.18 or newer; this is ${process.versions.node}`);
}
module.exports = require('../index.js');
