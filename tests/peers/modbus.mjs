// A Modbus server and client by other people (modbus-serial), driven by tests/connect/drivers/modbus/test_peers.py.
//   node modbus.mjs server            one JSON line {"port"} once it listens; registers hold address + 1000
//   node modbus.mjs client PORT       reads and writes a server that is ours; one JSON line with what it saw
import net from "node:net";
import { createRequire } from "node:module";

const ModbusRTU = createRequire(import.meta.url)("modbus-serial");
const [role, port] = process.argv.slice(2);

async function freePort() {
  const probe = net.createServer();
  await new Promise((done) => probe.listen(0, "127.0.0.1", done));
  const { port: found } = probe.address();
  await new Promise((done) => probe.close(done));
  return found;
}

async function serve() {
  const holding = new Map();
  const coils = new Map();
  const listenOn = await freePort();
  const server = new ModbusRTU.ServerTCP(
    {
      getInputRegister: (address) => address + 1000,
      getHoldingRegister: (address) => holding.get(address) ?? 0,
      getCoil: (address) => coils.get(address) ?? address % 3 === 0,
      getDiscreteInput: (address) => address % 2 === 0,
      setRegister: (address, value) => void holding.set(address, value),
      setCoil: (address, value) => void coils.set(address, value),
    },
    { host: "127.0.0.1", port: listenOn, unitID: 1 },
  );
  server.on("initialized", () => console.log(JSON.stringify({ port: listenOn })));
}

async function ask() {
  const client = new ModbusRTU();
  await client.connectTCP("127.0.0.1", { port: Number(port) });
  client.setID(1);
  client.setTimeout(2000);
  const seen = {};
  seen.input = (await client.readInputRegisters(0, 4)).data;
  seen.discrete = (await client.readDiscreteInputs(0, 8)).data.slice(0, 8);
  await client.writeRegister(10, 4711);
  await client.writeRegisters(11, [1, 2, 3]);
  await client.writeCoil(5, true);
  await client.writeCoils(6, [true, false, true]);
  await client.maskWriteRegister(10, 0xff00, 0x0012);
  seen.holding = (await client.readHoldingRegisters(10, 4)).data;
  seen.coils = (await client.readCoils(5, 4)).data.slice(0, 4);
  seen.refused = await client.readInputRegisters(100, 1).then(() => null, (error) => error.modbusCode);
  console.log(JSON.stringify(seen));
  client.close(() => process.exit(0));
}

await (role === "server" ? serve() : ask());
