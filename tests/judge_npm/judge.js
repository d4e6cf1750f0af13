// What the family's own validators say. One JSON request per line on stdin, one JSON answer per line on stdout.
//   {"document": [...]}                  -> {"schema": null | "why not", "specs": null | "why not"}
//   {"callback": "dial", "payload": {}}  -> {"schema": null | "why not"}
//   {"text": "{...}"}                    -> {"text": what JSON.stringify(JSON.parse(text)) makes of it}
'use strict';
const {readdirSync, readFileSync} = require('fs');
const {dirname, join} = require('path');
const readline = require('readline');
const Ajv = require('ajv');
const schema = require('@jambonz/schema');
const specs = require('@jambonz/verb-specifications');

const quiet = {debug() {}, info() {}, warn() {}, error() {}};

const callbacks = new Ajv({allErrors: true, strict: false, validateSchema: false, logger: false});
const root = dirname(require.resolve('@jambonz/schema'));
for (const folder of ['components', 'callbacks', 'verbs']) {
  for (const file of readdirSync(join(root, folder))) {
    callbacks.addSchema(JSON.parse(readFileSync(join(root, folder, file), 'utf8')));
  }
}

function complaint(judge) {
  try {
    judge();
    return null;
  } catch (error) {
    return String(error.message);
  }
}

function judged({document, callback, payload, text}) {
  if (text !== undefined) return {text: JSON.stringify(JSON.parse(text))};
  if (callback === undefined) {
    return {
      schema: complaint(() => schema.validate(quiet, document)),
      specs: complaint(() => specs.validate(quiet, document)),
    };
  }
  const validate = callbacks.getSchema(`https://jambonz.org/schema/callbacks/${callback}`);
  if (!validate) throw new Error(`no such callback: ${callback}`);
  return {schema: validate(payload) ? null : callbacks.errorsText(validate.errors)};
}

readline.createInterface({input: process.stdin}).on('line', (line) => {
  process.stdout.write(`${JSON.stringify(judged(JSON.parse(line)))}\n`);
});
