// An OPC UA client by another vendor (node-opcua), for tests of our servers. Prints one JSON line when it has a
// session, then obeys JSON lines on standard input and answers each with one line; changes come as lines of their own.
//
//   node opcua_client.js --url opc.tcp://127.0.0.1:4840/ [--security none|sign|sign-and-encrypt]
//                        [--policy Basic256Sha256] [--user NAME --password SECRET] [--state DIR]
//   → {"ready": true, "namespaces": ["http://opcfoundation.org/UA/", …]}
//   ← {"read": ["ns=2;s=A", …]}    → {"values": [{"value": 1.5, "type": "Double", "status": "Good", "sourceTime": "…"}, …]}
//   ← {"write": "ns=2;s=B", "type": "Double", "value": 7.5}                    → {"status": "Good"}
//   ← {"browse": "ObjectsFolder"}  → {"children": [{"name": "Press", "node": "ns=2;s=Press", "class": "Object"}, …]}
//   ← {"subscribe": ["ns=2;s=A", …], "interval": 100}                          → {"subscribed": 1}
//   → {"change": "ns=2;s=A", "value": 2.5, "type": "Double", "status": "Good", "sourceTime": "…"}
//   ← {"stop": true}
// Int64 and UInt64 are given as text.
"use strict";

const path = require("node:path");
const readline = require("node:readline");
const {
  AttributeIds, DataType, MessageSecurityMode, NodeClass, OPCUACertificateManager, OPCUAClient,
  SecurityPolicy, TimestampsToReturn, UserTokenType, VariantArrayType,
} = require("node-opcua");

function option(name, fallback) {
  const at = process.argv.indexOf(name);
  return at < 0 ? fallback : process.argv[at + 1];
}

const MODES = { none: MessageSecurityMode.None, sign: MessageSecurityMode.Sign, "sign-and-encrypt": MessageSecurityMode.SignAndEncrypt };
const POLICIES = {
  Basic256Sha256: SecurityPolicy.Basic256Sha256,
  Aes128Sha256RsaOaep: SecurityPolicy.Aes128_Sha256_RsaOaep,
  Aes256Sha256RsaPss: SecurityPolicy.Aes256_Sha256_RsaPss,
};

async function main() {
  const state = option("--state", path.join(process.cwd(), ".peer"));
  const security = option("--security", "none");
  const manager = new OPCUACertificateManager({ rootFolder: path.join(state, "pki"), automaticallyAcceptUnknownCertificate: true });
  await manager.initialize();
  const client = OPCUAClient.create({
    applicationName: "Headrace peer",
    clientCertificateManager: manager,
    connectionStrategy: { maxRetry: 2, initialDelay: 200, maxDelay: 1000 },
    endpointMustExist: false,
    keepSessionAlive: true,
    securityMode: MODES[security],
    securityPolicy: security === "none" ? SecurityPolicy.None : POLICIES[option("--policy", "Basic256Sha256")],
  });
  await client.connect(option("--url"));
  const user = option("--user");
  const session = await client.createSession(
    user ? { type: UserTokenType.UserName, userName: user, password: option("--password") } : undefined);
  say({ ready: true, namespaces: await session.readNamespaceArray() });

  let subscription = null;
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    if (order.stop) break;
    try {
      if (order.read) {
        const values = await session.read(order.read.map((nodeId) => ({ nodeId, attributeId: AttributeIds.Value })));
        say({ values: values.map(shown) });
      } else if (order.write) {
        const value = { dataType: DataType[order.type], arrayType: VariantArrayType.Scalar, value: order.value };
        const status = await session.write({ nodeId: order.write, attributeId: AttributeIds.Value, value: { value } });
        say({ status: status.name });
      } else if (order.browse) {
        const result = await session.browse({ nodeId: order.browse, resultMask: 63, referenceTypeId: "HierarchicalReferences", includeSubtypes: true });
        say({ children: result.references.map((one) => ({
          name: one.browseName.name, node: one.nodeId.toString(), class: NodeClass[one.nodeClass] })) });
      } else if (order.subscribe) {
        subscription ??= await session.createSubscription2({
          requestedPublishingInterval: order.interval ?? 100, requestedLifetimeCount: 600, requestedMaxKeepAliveCount: 20,
          maxNotificationsPerPublish: 0, publishingEnabled: true, priority: 0 });
        const items = order.subscribe.map((nodeId) => ({ nodeId, attributeId: AttributeIds.Value }));
        const group = await subscription.monitorItems(items,
          { samplingInterval: order.interval ?? 100, discardOldest: true, queueSize: 100 }, TimestampsToReturn.Both);
        group.on("changed", (item, value, index) => say({ change: order.subscribe[index], ...shown(value) }));
        say({ subscribed: items.length });
      } else {
        say({ error: "unknown order" });
      }
    } catch (error) {
      say({ error: error.message });
    }
  }
  if (subscription) await subscription.terminate();
  await session.close();
  await client.disconnect();
  process.exit(0);
}

function shown(data) {
  const { dataType, value } = data.value;
  return {
    value: plain(value, dataType), type: DataType[dataType], status: data.statusCode.name, sourceTime: data.sourceTimestamp,
  };
}

function plain(value, dataType) {
  if (dataType === DataType.Int64 || dataType === DataType.UInt64) {
    if (!Array.isArray(value)) return String(value);
    const joined = (BigInt(value[0]) << 32n) | BigInt(value[1] >>> 0);
    return String(dataType === DataType.Int64 ? BigInt.asIntN(64, joined) : BigInt.asUintN(64, joined));
  }
  if (ArrayBuffer.isView(value)) return Array.from(value);
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  return value;
}

function say(line) {
  process.stdout.write(JSON.stringify(line) + "\n");
}

main().catch((error) => { process.stderr.write(`${error.stack}\n`); process.exit(1); });
process.stdin.on("end", () => process.exit(0)); // the test is gone
