// A customer's application over WebSocket, written with @jambonz/sdk (hooks contract, section 7).
//   node foreign_ws.js '{"documents": {"session:new": [["dial", {...}]], "/dialled": [...]}}'
// Tells on stdout, a line of JSON each: {"listening": port}, then {"event", "body"} for everything the library says
// happened. Lines on stdin are commands of the library's session: {"inject": "injectRedirect", "arguments": [...]}.
'use strict';
const http = require('http');
const readline = require('readline');
const {createEndpoint} = require('@jambonz/sdk/websocket');

const {documents} = JSON.parse(process.argv[2]);

function tell(fact) {
  process.stdout.write(`${JSON.stringify(fact)}\n`);
}

function build(session, name) {
  for (const [verb, properties] of documents[name] || []) {
    session[verb.replace(/:(.)/, (_, letter) => letter.toUpperCase())](properties);
  }
  return session;
}

const server = http.createServer();
const quiet = {debug() {}, info(...what) { tell({event: 'log', body: String(what[1] || what[0])}); }, warn() {}, error() {}};
const service = createEndpoint({server, logger: quiet})({path: '/call'});
let current = null;

service.on('session:new', (session) => {
  current = session;
  tell({event: 'session:new', body: session.data});
  for (const name of Object.keys(documents).filter((each) => each !== 'session:new')) {
    session.on(name, (body) => {
      tell({event: name, body});
      build(session, name).reply();
    });
  }
  for (const name of ['call:status', 'verb:status', 'jambonz:error']) {
    session.on(name, (body) => tell({event: name, body}));
  }
  session.on('close', (code) => tell({event: 'close', body: {code}}));
  build(session, 'session:new').send();
});
server.listen(0, '127.0.0.1', () => tell({listening: server.address().port}));

readline.createInterface({input: process.stdin}).on('line', (line) => {
  const command = JSON.parse(line);
  current[command.inject](...command.arguments);
}).on('close', () => process.exit(0));
