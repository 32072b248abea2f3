// gRPC with the library of Node: `calls.js serve PORT` is a service, `calls.js ask PORT METHOD TIMES` a client. Messages are bytes.
// The client prints one line of JSON: status, details, answer, metadata and trailers of each call.
const grpc = require('@grpc/grpc-js');

const bytes = { requestSerialize: (x) => x, requestDeserialize: (x) => x, responseSerialize: (x) => x, responseDeserialize: (x) => x };
const unary = { requestStream: false, responseStream: false, ...bytes };
const definition = {};
for (const name of ['Reverse', 'Refuse', 'Fail', 'Count', 'Chat']) {
  definition[name] = { ...unary, path: `/calls.Calls/${name}`, responseStream: ['Count', 'Chat'].includes(name), requestStream: name === 'Chat' };
}

function serve(port) {
  const server = new grpc.Server();
  server.addService(definition, {
    Reverse(call, done) {
      const trailers = new grpc.Metadata();
      trailers.set('x-checksum', String(call.request.length));
      done(null, Buffer.from(call.request).reverse(), trailers);
    },
    Refuse: (call, done) => done({ code: grpc.status.NOT_FOUND, details: 'order 7: nö' }),
    Fail: (call, done) => done({ code: grpc.status.INTERNAL, details: 'made to fail' }),
    Count(call) {
      for (let number = 0; number < 3; number++) call.write(Buffer.from(String(number)));
      call.end();
    },
    Chat(call) {
      call.on('data', (message) => call.write(Buffer.from(message.toString().toUpperCase())));
      call.on('end', () => call.end());
    },
  });
  server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (error) => {
    if (error) throw error;
  });
}

function one(client, method, deadline) {
  const { path, requestStream, responseStream } = definition[method];
  const as = (x) => x;
  return new Promise((settle) => {
    const answers = [];
    const metadata = new grpc.Metadata();
    const took = (message) => answers.push(message.toString());
    const asked = Buffer.from(responseStream ? '3' : 'abc');
    let call;
    if (!responseStream) call = client.makeUnaryRequest(path, as, as, asked, metadata, { deadline }, (error, answer) => answer && took(answer));
    else if (requestStream) call = client.makeBidiStreamRequest(path, as, as, metadata, { deadline });
    else call = client.makeServerStreamRequest(path, as, as, asked, metadata, { deadline });
    if (responseStream) call.on('data', took).on('error', () => {});
    // The answer of a unary call may be told after its status.
    call.on('status', (said) => setImmediate(() => settle({ code: said.code, details: said.details, answers, trailers: said.metadata.getMap() })));
    if (requestStream) {
      for (const word of ['a', 'b', 'c']) call.write(Buffer.from(word));
      call.end();
    }
  });
}

async function ask(port, method, times) {
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  const said = [];
  for (let n = 0; n < times; n++) said.push(await one(client, method, Date.now() + 60000));
  client.close();
  console.log(JSON.stringify(said));
}

const [verb, port, method, times] = process.argv.slice(2);
if (verb === 'serve') serve(port);
else ask(port, method, Number(times));
