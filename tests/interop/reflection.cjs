// Speaks to the broker as a generic client does, which has no files of its own: lists the services by reflection, and
// calls one by the descriptors it got.
//
// Reads one JSON object from stdin (see `reflection.rs`) and prints one: the library, its version, and for each case
// what was expected and what came out.
const { readFileSync } = require('node:fs');
const { createRequire } = require('node:module');
const { join } = require('node:path');

// The libraries lie where `install` put them, not beside this file.
const node = join(process.env.DAYPASS_INTEROP_TOOLS, 'node');
const library = createRequire(join(node, 'package.json'));
const grpc = library('@grpc/grpc-js');
const { GrpcReflection } = library('grpc-js-reflection-client');
const { version } = JSON.parse(readFileSync(join(node, 'node_modules/grpc-js-reflection-client/package.json'), 'utf8'));

const given = JSON.parse(readFileSync(0, 'utf8'));
const { address, root, certificate, key } = given;
const checks = [];

const as = {
  application: grpc.credentials.createSsl(Buffer.from(root), Buffer.from(key), Buffer.from(certificate)),
  nobody: grpc.credentials.createSsl(Buffer.from(root)),
};
const reflection = (who, version = 'v1') => new GrpcReflection(address, as[who], {}, version);
const deadline = () => ({ deadline: Date.now() + 20_000 });

async function verify(name, expected, work) {
  let got;
  try {
    got = await work();
  } catch (error) {
    // The reflection client keeps the status in the text alone.
    const status = error.code ?? error.message.match(/^(?:Error: )?(\d+) [A-Z_]+:/)?.[1];
    got = `refused: ${grpc.status[status] ?? error.message}`;
  }
  checks.push({ case: name, expected, got });
}

function call(client, method, request) {
  return new Promise((answered, refused) => {
    client[method](request, deadline(), (error, answer) => (error ? refused(error) : answered(answer)));
  });
}

// Ping, by what reflection says of it.
async function ping(who) {
  const descriptor = await reflection('application').getDescriptorBySymbol('daypass.v1.DiagnosticsService');
  const { DiagnosticsService } = descriptor.getPackageObject({ keepCase: true }).daypass.v1;
  const answer = await call(new DiagnosticsService(address, as[who]), 'Ping', { answer_size: 3 });
  return `${answer.subject}, ${answer.padding.length} bytes`;
}

const services = async (who, version) => (await reflection(who, version).listServices()).sort().join(' ');

async function main() {
  const all = (version) => [...given.services, `grpc.reflection.${version}.ServerReflection`].sort().join(' ');
  await verify('lists the services', all('v1'), () => services('application', 'v1'));
  await verify('lists the services by the older protocol', all('v1alpha'), () => services('application', 'v1alpha'));
  await verify('calls Ping by its descriptors', 'application:sync, 3 bytes', () => ping('application'));
  await verify('asks for a symbol that does not exist', 'refused: NOT_FOUND', () => reflection('application').listMethods('daypass.v1.Nothing'));
  await verify('lists the services without a certificate', 'refused: UNAUTHENTICATED', () => services('nobody', 'v1'));
  await verify('the same by the older protocol', 'refused: UNAUTHENTICATED', () => services('nobody', 'v1alpha'));
  await verify('calls Ping without a certificate', 'refused: UNAUTHENTICATED', () => ping('nobody'));
  console.log(JSON.stringify({ tool: 'grpc-js-reflection-client', version, checks }));
  // Open channels would keep the process.
  process.exit(0);
}

main();
