// An OPC UA server by another vendor (node-opcua), for tests of our client. Prints one JSON line when it is ready,
// then obeys JSON lines on standard input and answers each with one line.
//
//   node opcua_server.js [--port 0] [--state DIR] [--secure]
//   → {"ready": true, "url": "opc.tcp://127.0.0.1:PORT/", "fingerprint": "AB:CD:…"}
//   ← {"set": "Double", "value": 2.5, "status": "UncertainSensorNotAccurate", "sourceTime": "2026-01-02T03:04:05.678Z",
//      "picoseconds": 10}
//   ← {"get": "Setpoint"}          → {"value": 7.5}
//   ← {"sessions": true}           → {"sessions": 1, "subscriptions": 2}
//   ← {"stop": true}
"use strict";

const crypto = require("node:crypto");
const path = require("node:path");
const readline = require("node:readline");
const {
  DataType, MessageSecurityMode, OPCUACertificateManager, OPCUAServer, SecurityPolicy, StatusCodes, Variant,
  VariantArrayType,
} = require("node-opcua");

const NAMESPACE = "urn:headrace:peer";

function option(name, fallback) {
  const at = process.argv.indexOf(name);
  return at < 0 ? fallback : process.argv[at + 1];
}

const VARIABLES = {
  Boolean: [DataType.Boolean, true],
  SByte: [DataType.SByte, -5],
  Byte: [DataType.Byte, 250],
  Int16: [DataType.Int16, -32768],
  UInt16: [DataType.UInt16, 65535],
  Int32: [DataType.Int32, -2147483648],
  UInt32: [DataType.UInt32, 4294967295],
  Int64: [DataType.Int64, [0x80000000, 0]], // −2^63, as high and low word
  UInt64: [DataType.UInt64, [0x7fffffff, 0xffffffff]], // 2^63 − 1
  Float: [DataType.Float, 0.10000000149011612],
  Double: [DataType.Double, -0.1],
  String: [DataType.String, "油温 °C"],
  LocalizedText: [DataType.LocalizedText, { text: "Pump running", locale: "en" }],
  DateTime: [DataType.DateTime, new Date("2026-01-02T03:04:05.678Z")],
  Setpoint: [DataType.Double, 100],
  SetpointInt16: [DataType.Int16, 7],
};

async function main() {
  const state = option("--state", path.join(process.cwd(), ".peer"));
  const secure = process.argv.includes("--secure");
  // Our certificate is checked for its form and signature; trusting whoever comes is the test's simplification.
  const manager = new OPCUACertificateManager({ rootFolder: path.join(state, "pki"), automaticallyAcceptUnknownCertificate: true });
  await manager.initialize();
  const server = new OPCUAServer({
    port: Number(option("--port", "0")),
    host: "127.0.0.1",
    hostname: "127.0.0.1",
    resourcePath: "/",
    serverCertificateManager: manager,
    userCertificateManager: manager,
    securityModes: secure ? [MessageSecurityMode.Sign, MessageSecurityMode.SignAndEncrypt] : [MessageSecurityMode.None],
    securityPolicies: secure
      ? [SecurityPolicy.Basic256Sha256, SecurityPolicy.Aes128_Sha256_RsaOaep, SecurityPolicy.Aes256_Sha256_RsaPss]
      : [SecurityPolicy.None],
    allowAnonymous: true,
    disableDiscovery: false,
    serverInfo: { applicationUri: "urn:headrace:peer:server" },
  });
  await server.initialize();
  const space = server.engine.addressSpace;
  const namespace = space.registerNamespace(NAMESPACE);
  const folder = namespace.addFolder("ObjectsFolder", { browseName: "Peer", nodeId: "s=Peer" });
  const nodes = {};
  for (const [name, [dataType, value]] of Object.entries(VARIABLES)) {
    const writable = name.startsWith("Setpoint");
    nodes[name] = namespace.addVariable({
      componentOf: folder, browseName: name, nodeId: `s=${name}`, dataType,
      accessLevel: writable ? "CurrentRead | CurrentWrite" : "CurrentRead",
      userAccessLevel: writable ? "CurrentRead | CurrentWrite" : "CurrentRead",
    });
    nodes[name].setValueFromSource({ dataType, arrayType: VariantArrayType.Scalar, value }, StatusCodes.Good, new Date());
  }
  nodes.Doubles = namespace.addVariable({
    componentOf: folder, browseName: "Doubles", nodeId: "s=Doubles", dataType: DataType.Double, valueRank: 1,
    arrayDimensions: [3], accessLevel: "CurrentRead | CurrentWrite", userAccessLevel: "CurrentRead | CurrentWrite",
  });
  nodes.Doubles.setValueFromSource({
    dataType: DataType.Double, arrayType: VariantArrayType.Array, value: new Float64Array([1.5, 2.5, -3.5]),
  });
  nodes.Temperature = namespace.addAnalogDataItem({
    componentOf: folder, browseName: "Temperature", nodeId: "s=Temperature", dataType: DataType.Double,
    engineeringUnitsRange: { low: 0, high: 120 },
    engineeringUnits: { namespaceUri: "http://www.opcfoundation.org/UA/units/un/cefact", unitId: 4408652, displayName: { text: "°C" }, description: { text: "degree Celsius" } },
  });
  nodes.Temperature.setValueFromSource({ dataType: DataType.Double, value: 20 });
  await server.start();
  const port = server.endpoints[0].port;
  const certificate = server.getCertificate();
  const fingerprint = crypto.createHash("sha256").update(certificate).digest("hex").toUpperCase().match(/../g).join(":");
  say({ ready: true, url: `opc.tcp://127.0.0.1:${port}/`, fingerprint });

  for await (const line of readline.createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    if (order.stop) break;
    if (order.get) {
      const { value, arrayType } = nodes[order.get].readValue().value;
      say({ value: arrayType === VariantArrayType.Array ? Array.from(value) : value });
    } else if (order.sessions) {
      say({ sessions: server.engine.currentSessionCount, subscriptions: server.engine.currentSubscriptionCount });
    } else {
      set(nodes[order.set], order);
      say({ done: true });
    }
  }
  await server.shutdown(0);
  process.exit(0);
}

function set(node, order) {
  const moment = order.sourceTime ? new Date(order.sourceTime) : new Date();
  if (order.picoseconds === undefined) {
    const dataType = VARIABLES[order.set]?.[0] ?? DataType.Double;
    const status = StatusCodes[order.status ?? "Good"];
    node.setValueFromSource({ dataType, arrayType: VariantArrayType.Scalar, value: order.value }, status, moment);
    return;
  }
  const value = node.readValue().clone();
  value.value = new Variant({ dataType: DataType.Double, value: order.value });
  value.statusCode = StatusCodes[order.status ?? "Good"];
  value.sourceTimestamp = moment;
  value.sourcePicoseconds = order.picoseconds;
  value.serverTimestamp = new Date();
  value.serverPicoseconds = order.picoseconds;
  node._internal_set_dataValue(value);
}

function say(line) {
  process.stdout.write(JSON.stringify(line) + "\n");
}

main().catch((error) => { process.stderr.write(`${error.stack}\n`); process.exit(1); });
process.stdin.on("end", () => process.exit(0)); // the test is gone
