// A device by other people (MQTT.js), driven by tests/connect/gateway/test_peers.py.
//   node mqtt.mjs URL VERSION     reports on `state` with QoS 1 and 2, obeys one command on `set`; one JSON line with what it saw
import { createRequire } from "node:module";

const mqtt = createRequire(import.meta.url)("mqtt");
const [url, version] = process.argv.slice(2);
const client = await mqtt.connectAsync(url, {
  clientId: "mqtt-js",
  protocolVersion: Number(version),
  reconnectPeriod: 0,
  will: { topic: "state", payload: '{"v":-1}', qos: 1 },
  ...(version === "5" ? { properties: { topicAliasMaximum: 10, receiveMaximum: 20 }, autoAssignTopicAlias: true } : {}),
});
const commanded = new Promise((done) => client.on("message", (topic, payload) => done({ topic, payload: payload.toString() })));
const granted = await client.subscribeAsync("set", { qos: 1 });
for (let value = 0; value < 50; value++) await client.publishAsync("state", JSON.stringify({ v: value }), { qos: 1 + (value % 2) });
console.log(JSON.stringify({ ready: true, granted: granted.map((one) => one.qos) }));
const command = await commanded;
await client.publishAsync("state", command.payload, { qos: 2 });
await client.endAsync();
console.log(JSON.stringify({ command }));
