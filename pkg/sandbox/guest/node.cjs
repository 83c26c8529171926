'use strict';
// The guest of Node steps: it takes frames from descriptor 3, runs one run at a time and sends its result back.
//
// It runs in the author's process and is no boundary: whatever it checks here is for a clear message, and is checked
// again outside.
const { registerHooks, isBuiltin, builtinModules } = require('node:module');
const { AsyncLocalStorage } = require('node:async_hooks');
const { Console } = require('node:console');
const { Writable } = require('node:stream');
const { spawnSync } = require('node:child_process');
const { Socket } = require('node:net');
const { writeSync } = require('node:fs');
const { inspect } = require('node:util');
const { webcrypto } = require('node:crypto');

const protocol = 1;
const maxFrame = 8 << 20;
const maxExports = 6 << 20;
const maxLogs = 256 << 10;
const flushSize = 16 << 10;
const flushEvery = 100; // ms
const maxMessage = 8 << 10;
const maxStack = 16 << 10;

const als = new AsyncLocalStorage();
const socket = new Socket({ fd: 3, onread: { buffer: Buffer.allocUnsafeSlow(64 << 10), callback: receive } });
const reallyExit = process.exit.bind(process);

let current = null; // the run in flight
let retiring = false; // leftover code misbehaved: this process takes no further run

// ---- frames -------------------------------------------------------------------------------------------------------

function send(text) {
  const size = Buffer.byteLength(text);
  const frame = Buffer.allocUnsafe(4 + size);
  frame.writeUInt32BE(size, 0);
  frame.utf8Write(text, 4);
  // At once, without the machinery of a stream, as long as the host reads as fast as we write.
  let sent = 0;
  if (socket.writableLength === 0) {
    try {
      sent = writeSync(3, frame);
    } catch (err) {
      if (err.code !== 'EAGAIN') reallyExit(0); // nobody is there to hear
    }
  }
  if (sent < frame.length) socket.write(frame.subarray(sent));
}

let parts = []; // what came and is no whole frame yet
let have = 0;
let want = 4; // how many bytes there must be before it is worth looking

// The buffer is one and the same for every read.
function receive(size, buffer) {
  const chunk = buffer.subarray(0, size);
  have += size;
  if (have < want) {
    parts.push(Buffer.from(chunk));
    return true;
  }
  const bytes = parts.length === 0 ? chunk : Buffer.concat([...parts, chunk]);
  let at = 0;
  for (want = 4; bytes.length - at >= 4; ) {
    const end = at + 4 + bytes.readUInt32BE(at);
    if (bytes.length < end) {
      want = end - at;
      break;
    }
    const text = bytes.toString('utf8', at + 4, end);
    at = end;
    handle(JSON.parse(text));
  }
  parts = at === bytes.length ? [] : [Buffer.from(bytes.subarray(at))];
  have = bytes.length - at;
  return true;
}

function handle(frame) {
  switch (frame.type) {
    case 'source':
      sources.set(urlOf(frame), frame.source);
      return;
    case 'run':
      begin(frame);
      return;
    default:
      send(JSON.stringify({ type: 'unsupported', of: String(frame.type) }));
  }
}

// ---- the author's modules -----------------------------------------------------------------------------------------

const scheme = 'behalf:';
const sources = new Map(); // text by URL
const components = new Map(); // default exports by URL

// The version stands in the URL: modules are never unloaded.
function urlOf({ version, file }) {
  return `${scheme}///${version}/${file.split('/').map(encodeURIComponent).join('/')}`;
}

registerHooks({
  resolve(specifier, context, next) {
    if (sources.has(specifier)) return { url: specifier, format: 'module', shortCircuit: true };
    if (!context.parentURL?.startsWith(scheme)) return next(specifier, context);
    if (isBuiltin(specifier)) {
      const url = specifier.startsWith('node:') ? specifier : `node:${specifier}`;
      return { url, format: 'builtin', shortCircuit: true };
    }
    throw new Error(`cannot import "${specifier}": npm packages come later, a step may import what Node brings along`);
  },
  load(url, context, next) {
    const source = sources.get(url);
    return source === undefined ? next(url, context) : { format: 'module', source, shortCircuit: true };
  },
});

async function load(url) {
  const known = components.get(url);
  if (known !== undefined) return known;
  let component;
  try {
    component = (await import(url)).default;
  } catch (err) {
    throw located(err, url);
  }
  if (component === null || typeof component !== 'object' || typeof component.run !== 'function') {
    throw new ConfigurationError('the file must `export default defineComponent({ async run({ steps, $ }) { … } })`');
  }
  components.set(url, component);
  return component;
}

// Node keeps the place of a syntax error to itself, and tells it only as it dies of one: so a second Node dies of it.
// Nothing of the source runs there, since it cannot be parsed.
function located(err, url) {
  if (!(err instanceof SyntaxError) || err.stack.includes(scheme)) return err;
  const args = ['--input-type=module', '-'];
  const { stderr } = spawnSync(process.execPath, args, { input: sources.get(url), encoding: 'utf8', env: {}, timeout: 2000 });
  const place = /^\S*\[eval\d*\]:(\d+)\n([\s\S]*?)\n\n?SyntaxError/m.exec(stderr ?? '');
  if (place) err.stack = `${url}:${place[1]}\n${place[2]}\n${err.name}: ${err.message}`;
  return err;
}

// ---- one run ------------------------------------------------------------------------------------------------------

class ConfigurationError extends Error {
  get name() {
    return 'ConfigurationError';
  }
}

function begin(frame) {
  if (current !== null) reallyExit(70); // one run at a time is the host's promise
  const run = {
    id: frame.id,
    exports: [],
    exported: 0,
    response: null,
    answering: null,
    exit: null,
    error: null,
    logs: [],
    logged: 0, // bytes of all its logs
    unsent: 0, // bytes of those not sent yet
    timer: null,
    ended: false,
  };
  current = run;
  if (!present(frame.env)) reallyExit(70);
  als.run(run, play, run, frame);
}

// One object for the whole life of the process: modules keep it. What it has is the run's, and goes with it. It is none of
// the process's real environment.
const environment = {};

// It says whether it could: an author may have frozen it.
function present(variables = {}) {
  const gone = Reflect.ownKeys(environment).every((name) => Reflect.deleteProperty(environment, name));
  const there = Object.entries(variables).every(([name, value]) => Reflect.set(environment, name, value));
  return gone && there && Reflect.set(process, 'env', environment);
}

async function play(run, frame) {
  try {
    const component = await load(urlOf(frame));
    const value = await component.run.call(bind(component, frame), { steps: frame.steps, $: helpers(run, frame) });
    if (run.answering !== null) await run.answering;
    if (value !== undefined) put(run, '$return_value', value, 'the return value');
  } catch (err) {
    run.error ??= describe(err);
  }
  // A rejection that nobody handled is told after the microtasks: let it fail the run that caused it.
  setImmediate(finish, run);
}

function finish(run) {
  if (run.ended) return;
  run.ended = true;
  current = null;
  if (!present()) retiring = true;
  clearTimeout(run.timer);
  let text = result(run, run.exports.join(','), run.response);
  if (Buffer.byteLength(text) > maxFrame) {
    run.error = { name: 'Error', message: "the step's exports, response and logs are larger than 8 MiB together" };
    text = result(run, '', null);
  }
  send(text);
}

function result(run, exports, response) {
  let text = `{"type":"result","id":${run.id},"exports":{${exports}}`;
  if (response !== null) text += `,"response":${JSON.stringify(response)}`;
  if (run.exit !== null) text += `,"exit":${JSON.stringify(run.exit)}`;
  if (run.error !== null) text += `,"error":${JSON.stringify(run.error)}`;
  if (run.logs.length > 0) text += `,"logs":${JSON.stringify(run.logs)}`;
  if (retiring) text += ',"last":true';
  return text + '}';
}

// ---- this ---------------------------------------------------------------------------------------------------------

const later = new Set(['data_store', 'http_request', 'sql', 'dir', '$.service.db', '$.interface.http', '$.interface.timer', '$.interface.apphook']);

// A fresh object per run: runs write to it.
function bind(component, { props: given, apps }) {
  const self = {};
  const declared = component.props ?? {};
  for (const [name, method] of Object.entries(component.methods ?? {})) {
    if (typeof method === 'function') self[name] = method.bind(self);
  }
  for (const name of Object.keys(declared)) set(self, name, prop(name, definition(declared[name]), given, apps));
  for (const name of Object.keys(given)) if (!Object.hasOwn(declared, name)) set(self, name, given[name]);
  for (const name of Object.keys(apps)) if (!Object.hasOwn(declared, name)) set(self, name, account({}, apps[name]));
  return self;
}

function set(self, name, value) {
  if (name === '__proto__') throw new ConfigurationError('a prop cannot be called __proto__');
  if (value !== undefined) self[name] = value;
}

function definition(def) {
  if (typeof def === 'string') return { type: def };
  if (!Array.isArray(def?.propDefinition)) return def ?? {};
  const [app, name] = def.propDefinition;
  return { ...app?.propDefinitions?.[name], ...def };
}

function prop(name, def, given, apps) {
  if (later.has(def.type)) throw new ConfigurationError(`prop ${name}: the type ${def.type} comes later`);
  if (def.type === 'app') return appProp(name, def, apps);
  if (Object.hasOwn(given, name) && given[name] !== null) return given[name];
  if (def.default !== undefined) return structuredClone(def.default);
  if (def.optional || def.type === 'alert') return undefined;
  throw new ConfigurationError(`prop ${name} is required: give it a value under props in workflow.yaml`);
}

function appProp(name, def, apps) {
  if (!Object.hasOwn(apps, name)) {
    if (def.optional) return undefined;
    throw new ConfigurationError(`prop ${name} is an account of ${def.app}: say whose under accounts in workflow.yaml`);
  }
  if (def.app !== apps[name].app) {
    throw new ConfigurationError(`prop ${name} is an account of ${def.app}, but the workflow gives it one of ${apps[name].app}`);
  }
  return account(def, apps[name]);
}

function account(def, { app, auth }) {
  const instance = { app, $auth: { ...auth } };
  for (const [name, method] of Object.entries(def.methods ?? {})) {
    if (typeof method === 'function') instance[name] = method.bind(instance);
  }
  return instance;
}

// ---- $ ------------------------------------------------------------------------------------------------------------

// What is the same for every run is made once, and what few steps touch only when they do.
const flowLater = Object.fromEntries(['delay', 'suspend', 'rerun', 'trigger', 'refreshTimeout'].map((name) => [name, () => {
  throw comesLater(`$.flow.${name}`);
}]));
const [send_, service, files] = ['$.send', '$.service', '$.files'].map(absent);

function helpers(run, frame) {
  let context;
  return {
    export: (name, value) => put(run, exportName(name), value, `$.export("${name}")`),
    respond: (answer) => respond(run, answer),
    flow: {
      ...flowLater,
      exit(reason) {
        run.exit ??= reason === undefined ? {} : { reason: String(reason) };
      },
    },
    get context() {
      return (context ??= { ...frame.steps.trigger?.context, ...frame.context, deadline: frame.deadline, run: { runs: 1 } });
    },
    send: send_,
    service,
    files,
  };
}

function comesLater(name) {
  return new Error(`${name} comes later: this version of Behalf does not have it`);
}

function absent(name) {
  return new Proxy({}, {
    get(_, key) {
      if (typeof key === 'symbol' || key === 'then' || key === 'toJSON' || key === 'constructor') return undefined;
      throw comesLater(`${name}.${key}`);
    },
  });
}

function exportName(name) {
  if (typeof name !== 'string' || name === '' || name.length > 256) {
    throw new TypeError('$.export: the name must be a string of 1 to 256 characters');
  }
  if (name === '__proto__' || (name.startsWith('$') && name !== '$summary')) {
    throw new TypeError(`$.export: the name ${name} is not free, names that begin with $ are Behalf's own`);
  }
  return name;
}

// The value is written down at once: what the author does to it later is not exported.
function put(run, name, value, what) {
  if (run.ended || value === undefined) return;
  let json;
  try {
    json = JSON.stringify(value);
  } catch (err) {
    throw new TypeError(`${what} is not JSON: ${err.message.split('\n')[0]}`);
  }
  if (json === undefined) throw new TypeError(`${what} is not JSON: it is a ${typeof value}`);
  const entry = `${JSON.stringify(name)}:${json}`;
  run.exported += Buffer.byteLength(entry) + 1;
  if (run.exported > maxExports) throw new RangeError(`${what} makes the step's exports larger than 6 MiB`);
  run.exports.push(entry);
}

// The first call answers. It returns a promise, for a body that is a stream.
function respond(run, answer = {}) {
  const pending = answering(run, answer);
  // Awaited at the end of the step too. A second await must not make an unhandled rejection of it.
  pending.catch(() => {});
  run.answering = run.answering === null ? pending : Promise.all([run.answering, pending]);
  return pending;
}

async function answering(run, { status = 200, headers = {}, body, immediate }) {
  status = Number(status);
  if (!Number.isInteger(status) || status < 100 || status > 599) throw new RangeError('$.respond: status must be 100 to 599');
  const response = { status, headers: checkHeaders(headers) };
  if (run.answered) return;
  run.answered = true;
  if (immediate) response.immediate = true;
  if (isStream(body)) {
    if (immediate) throw new TypeError('$.respond: a stream cannot be answered with immediate');
    response.base64 = (await drain(body)).toString('base64');
    typed(response, 'application/octet-stream');
  } else {
    plainBody(response, body);
  }
  run.response = response;
}

function checkHeaders(headers) {
  const out = {};
  for (const [name, value] of Object.entries(headers ?? {})) {
    if (value === undefined || value === null) continue;
    const text = Array.isArray(value) ? value.join(', ') : String(value);
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) || /[\0\r\n]/.test(text)) {
      throw new TypeError(`$.respond: ${JSON.stringify(name)} is not a header with a one-line value`);
    }
    out[name] = text;
  }
  return out;
}

function plainBody(response, body) {
  if (body === undefined || body === null) {
    response.text = '';
  } else if (typeof body === 'string') {
    response.text = body;
    typed(response, 'text/plain; charset=utf-8');
  } else if (body instanceof Uint8Array || body instanceof ArrayBuffer) {
    response.base64 = Buffer.from(body).toString('base64');
    typed(response, 'application/octet-stream');
  } else if (typeof body === 'object' && typeof body.then !== 'function') {
    response.text = JSON.stringify(body);
    typed(response, 'application/json; charset=utf-8');
  } else {
    const what = typeof body === 'object' ? 'promise: await it first' : typeof body;
    throw new TypeError(`$.respond: body must be a string, an object, a Buffer or a stream, not a ${what}`);
  }
}

function typed(response, type) {
  if (!Object.keys(response.headers).some((name) => name.toLowerCase() === 'content-type')) response.headers['content-type'] = type;
}

function isStream(body) {
  return typeof body === 'object' && body !== null && !(body instanceof Uint8Array) && typeof body[Symbol.asyncIterator] === 'function';
}

async function drain(stream) {
  const chunks = [];
  let size = 0;
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > maxExports) throw new RangeError('$.respond: the body is larger than 6 MiB');
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

// ---- logs ---------------------------------------------------------------------------------------------------------

// A line belongs to the run whose code printed it, however late; when that run is over, to nobody.
function log(stream, text) {
  const run = als.getStore();
  if (run === undefined || run.ended || run.logged > maxLogs) return;
  if (text.endsWith('\n')) text = text.slice(0, -1);
  const size = Buffer.byteLength(text) + 32;
  run.logged += size;
  if (run.logged > maxLogs) text = '… the logs were cut here: 256 KiB of a step are kept';
  run.logs.push({ at: Date.now(), stream, text });
  run.unsent += size;
  if (run.unsent >= flushSize) flush(run);
  else run.timer ??= setTimeout(flush, flushEvery, run);
}

function flush(run) {
  clearTimeout(run.timer);
  run.timer = null;
  if (run.ended || run.logs.length === 0) return;
  send(`{"type":"logs","id":${run.id},"logs":${JSON.stringify(run.logs)}}`);
  run.logs = [];
  run.unsent = 0;
}

function capture(name) {
  const stream = new Writable({
    decodeStrings: false,
    write(chunk, _, done) {
      log(name, typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString());
      done();
    },
  });
  Object.defineProperty(process, name, { value: stream, configurable: true, enumerable: true });
  return stream;
}

// ---- errors -------------------------------------------------------------------------------------------------------

function describe(err) {
  try {
    if (err === null || typeof err !== 'object' || typeof err.message !== 'string') {
      return { name: 'Error', message: cut(typeof err === 'string' ? err : inspect(err, { depth: 2 }), maxMessage) };
    }
    const name = typeof err.name === 'string' && err.name !== '' ? err.name : 'Error';
    return { name: cut(name, 256), message: cut(err.message, maxMessage), stack: cut(cleanStack(err) + causes(err), maxStack) };
  } catch {
    return { name: 'Error', message: 'the step threw something that cannot be read' };
  }
}

function cut(text, max) {
  return text.length <= max ? text : `${text.slice(0, max)}…`;
}

// Without the frames of Node and of this file.
function cleanStack(err) {
  if (typeof err.stack !== 'string') return '';
  return err.stack.split('\n').filter((line) => !/^\s+at (?:.*\()?(?:async )?(?:node:|behalf-guest:)/.test(line)).join('\n');
}

function causes(err) {
  let text = '';
  for (let depth = 0, cause = err.cause; depth < 3 && cause instanceof Error; depth++, cause = cause.cause) {
    text += `\nCaused by: ${cleanStack(cause)}`;
  }
  return text;
}

// An error that nobody caught fails the run whose code it is. Left over from an earlier run, it says nothing to the run
// in flight, which may be another user's: then this process just takes no further run.
function uncaught(err) {
  const run = als.getStore();
  const first = !retiring;
  retiring = true;
  if (run !== undefined && run === current) {
    run.error = describe(err);
    finish(run);
  } else if (first && current === null) {
    send('{"type":"retire"}');
  }
}

process.on('uncaughtException', uncaught);
process.on('unhandledRejection', uncaught);

process.exit = (code = process.exitCode ?? 0) => {
  const run = als.getStore();
  if (run === undefined || run !== current) throw new Error('process.exit was called by code left over from a run that has ended');
  flush(run);
  reallyExit(code);
};

// ---- start --------------------------------------------------------------------------------------------------------

// `node -e` makes globals of Node's modules, some of them only once this script has ended; a file has none of them.
function tidyGlobals() {
  for (const name of [...builtinModules, 'require', 'exports', '__filename', '__dirname']) {
    if (name !== 'process' && name !== 'console') delete globalThis[name];
  }
  Object.defineProperty(globalThis, 'crypto', { value: webcrypto, writable: true, configurable: true, enumerable: true });
  for (const name of ['defineComponent', 'defineAction', 'defineApp', 'defineSource']) {
    Object.defineProperty(globalThis, name, { value: (component) => component, writable: true, configurable: true });
  }
}

Error.stackTraceLimit = 25;
// What Node itself reads of its environment: one clock for every machine, and a home that it can write to.
process.env.TZ = 'UTC';
process.env.HOME = process.cwd();
present();
globalThis.console = new Console({ stdout: capture('stdout'), stderr: capture('stderr'), ignoreErrors: false });

setImmediate(() => {
  tidyGlobals();
  socket.resume();
  socket.on('error', () => reallyExit(0));
  socket.on('close', () => reallyExit(0));
  send(JSON.stringify({ type: 'hello', protocol, runtime: 'node', version: process.versions.node }));
});
//# sourceURL=behalf-guest:node.cjs
