// A Sparkplug B edge node and a decoder by other people (sparkplug-client, sparkplug-payload), driven by
// tests/connect/sparkplug/test_npm_peer.py.
//   node sparkplug.mjs edge PORT      group "plant", node "line-1", device "press-3"; obeys lines on stdin:
//                                     data N (N messages), compressed, device-death, stop (NDEATH), skip (loses a number)
//   node sparkplug.mjs decode         one hex payload a line on stdin; one JSON document a line on stdout
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(import.meta.url);
const [role, port] = process.argv.slice(2);
const lines = createInterface({ input: process.stdin });
const say = (event, more = {}) => console.log(JSON.stringify({ event, ...more }));
const plain = (_, value) => (typeof value === "bigint" || value?.constructor?.name === "Long" ? String(value) : value);

function edge() {
  const client = require("sparkplug-client").newClient({
    serverUrl: `mqtt://127.0.0.1:${port}`,
    username: "",
    password: "",
    groupId: "plant",
    edgeNode: "line-1",
    clientId: `npm-${process.pid}`,
    publishDeath: true,
  });
  const held = { pressure: 100.5, on: true };
  let round = 0;
  const node = () => [
    { name: "Node Control/Rebirth", type: "Boolean", value: false },
    { name: "Temperature", type: "Double", value: 20.25 + round, properties: { engUnit: { type: "String", value: "°C" } } },
    { name: "Int8", type: "Int8", value: -5 },
    { name: "Int16", type: "Int16", value: -300 },
    { name: "Int32", type: "Int32", value: -70000 - round },
    { name: "Int64", type: "Int64", value: -(2 ** 40) },
    { name: "UInt32", type: "UInt32", value: 4000000000 },
    { name: "Float", type: "Float", value: 0.5 },
    { name: "Text", type: "String", value: "油温" },
    { name: "When", type: "DateTime", value: 1767225600000 },
    { name: "Blob", type: "Bytes", value: Buffer.from([1, 2, 3]) },
  ];
  const device = () => [
    { name: "Setpoint/Pressure", type: "Double", value: held.pressure },
    { name: "On", type: "Boolean", value: held.on },
  ];
  const stamped = (metrics) => ({
    timestamp: Date.now(),
    metrics: metrics.map((one) => ({ ...one, timestamp: Date.now() })),
  });
  client.on("birth", () => {
    client.publishNodeBirth(stamped(node()));
    client.publishDeviceBirth("press-3", stamped(device()));
    say("born");
  });
  client.on("ncmd", (payload) => {
    if (payload.metrics.some((one) => one.name === "Node Control/Rebirth" && one.value)) {
      say("rebirth");
      client.publishNodeBirth(stamped(node()));
      client.publishDeviceBirth("press-3", stamped(device()));
    }
  });
  client.on("dcmd", (deviceId, payload) => {
    for (const one of payload.metrics) {
      if (one.name === "Setpoint/Pressure") held.pressure = one.value;
      if (one.name === "On") held.on = one.value;
    }
    say("dcmd", { deviceId, metrics: payload.metrics });
    client.publishDeviceData(deviceId, stamped(device()));
  });
  lines.on("line", (line) => {
    const [what, count] = line.split(" ");
    if (what === "data") {
      for (let at = 0; at < Number(count); at++) {
        round += 1;
        client.publishNodeData(stamped(node().slice(1, 5)));
      }
      say("sent", { round });
    } else if (what === "compressed") {
      round += 1;
      client.publishNodeData(stamped(node().slice(1, 5)), { compress: true, algorithm: "GZIP" });
      say("sent", { round });
    } else if (what === "skip") {
      client.incrementSeqNum();
    } else if (what === "device-death") {
      client.publishDeviceDeath("press-3", { timestamp: Date.now() });
    } else if (what === "stop") {
      client.stop();
    }
  });
  client.on("close", () => process.exit(0));
}

function decode() {
  const payloads = require("sparkplug-payload").get("spBv1.0");
  lines.on("line", (line) => {
    const decoded = payloads.decodePayload(Buffer.from(line, "hex"));
    console.log(JSON.stringify(decoded, plain));
  });
}

({ edge, decode })[role]();
