// A customer's application written with the family's own libraries, @jambonz/sdk or @jambonz/node-client.
//   node foreign.js '{"library": "sdk", "secret": "...", "documents": {"/call": [["dial", {...}]], ...}}'
// Serves the documents, built verb by verb with the library, after the library has verified the signature the way
// applications do it: over the parsed body. Tells on stdout, a line of JSON each: {"listening": port}, then
// {"path", "verified": null | "why not", "body"} for each hook. Lines of JSON on stdin are REST calls:
// {"rest": "create" | "list" | "retrieve" | "update" | "delete", "arguments": [...], "baseUrl", "account", "key"}
// -> {"rest": ..., "result": ...} or {"rest": ..., "error": "..."}.
'use strict';
const http = require('http');
const readline = require('readline');

const {library, secret, documents} = JSON.parse(process.argv[2]);

function tell(fact) {
  process.stdout.write(`${JSON.stringify(fact)}\n`);
}

const libraries = {
  'sdk': () => {
    const {WebhookResponse} = require('@jambonz/sdk/webhook');
    const {JambonzClient} = require('@jambonz/sdk/client');
    return {
      WebhookResponse,
      verify: WebhookResponse.verifySignature(secret),
      method: (verb) => verb.replace(/:(.)/, (_, letter) => letter.toUpperCase()),
      client: ({baseUrl, account, key}) => new JambonzClient({baseUrl, accountSid: account, apiKey: key}).calls,
      names: {retrieve: 'get'},
    };
  },
  'node-client': () => {
    const jambonz = require('@jambonz/node-client');
    return {
      WebhookResponse: jambonz.WebhookResponse,
      verify: jambonz.WebhookResponse.verifyJambonzSignature(secret),
      method: (verb) => verb.replace(':', '_'),
      client: ({baseUrl, account, key}) => jambonz(account, key, {baseUrl}).calls,
      names: {},
    };
  },
};
const lib = libraries[library]();

function verification(request, body) {
  if (!secret) return null;
  let outcome = null;
  const express = {headers: request.headers, get: (name) => request.headers[name.toLowerCase()], body, url: request.url};
  try {
    lib.verify(express, {}, (error) => { outcome = error ? String(error.message) : null; });
  } catch (error) {
    outcome = String(error.message);
  }
  return outcome;
}

function answer(path) {
  const response = new lib.WebhookResponse();
  for (const [verb, properties] of documents[path] || []) response[lib.method(verb)](properties);
  return JSON.stringify(response);
}

const server = http.createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const path = new URL(request.url, 'http://localhost').pathname;
    const body = JSON.parse(Buffer.concat(chunks).toString('utf8') || '{}');
    let document;
    try {
      document = answer(path);
    } catch (error) {
      tell({path, error: String(error.stack)});
      response.writeHead(500).end();
      return;
    }
    tell({path, verified: verification(request, body), body});
    if (path in documents) {
      response.writeHead(200, {'Content-Type': 'application/json'}).end(document);
    } else {
      response.writeHead(200).end();
    }
  });
});
server.listen(0, '127.0.0.1', () => tell({listening: server.address().port}));

readline.createInterface({input: process.stdin}).on('line', async(line) => {
  const command = JSON.parse(line);
  const client = lib.client(command);
  const name = lib.names[command.rest] || command.rest;
  try {
    tell({rest: command.rest, result: await client[name](...command.arguments) ?? null});
  } catch (error) {
    tell({rest: command.rest, error: String(error.message)});
  }
}).on('close', () => process.exit(0));
