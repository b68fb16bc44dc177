// A small works whose every value is a pure function of time, so that any stretch of history can be asked for.
const G = 0x00000000;
const t2 = (en, zh) => ({ en, zh });
const real = (name, en, zh, unit, low, high, decimals, mid, swing, period, extra = {}) => ({ name, title: t2(en, zh), kind: "float64", unit, range: { low, high }, decimals, mid, swing, period, ...extra });
const setpoint = (name, en, zh, unit, low, high, from, to, value) => ({ name, title: t2(en, zh), kind: "float64", unit, range: { low, high }, decimals: 1, value, write: { low: from, high: to } });
const rule = (name, condition, limit, priority, en, zh) => ({ name, condition, limit, priority, message: t2(en, zh) });

const common = (n) => [
  { name: "machine.state", title: t2("Machine state", "设备状态"), kind: "int64", unit: "1", value: n === 3 ? 4 : n === 2 ? 3 : 2 },
  { name: "cycle.count", title: t2("Cycles", "循环次数"), kind: "int64", unit: "1", counter: 9 },
  { name: "parts.good", title: t2("Good parts", "合格件数"), kind: "int64", unit: "1", counter: 10 },
  { name: "order.product", title: t2("Product", "产品"), kind: "text", unit: "1", value: "Bearing cap BC-40" },
  { name: "guard.closed", title: t2("Guard closed", "防护门关闭"), kind: "bool", unit: "1", value: true },
  { name: "energy.total", title: t2("Energy used", "累计电能"), kind: "float64", unit: "kW.h", decimals: 1, counter: 3, range: null },
];
const hot = [rule("hot", "high", 65, "high", "Oil is hot: check cooler and water", "油温偏高：检查冷却器和冷却水"), rule("trip", "high", 78, "critical", "Oil close to the trip temperature", "油温接近停机温度")];
const shake = [rule("warning", "high", 4.5, "medium", "Bearing vibration in zone C: plan its replacement", "轴承振动进入 C 区：安排更换"), rule("danger", "high", 7.1, "critical", "Bearing vibration in zone D: stop soon", "轴承振动进入 D 区：尽快停机")];

const SHEETS = {
  "hydraulic-press": (n) => [
    real("oil.temperature", "Oil temperature", "油温", "Cel", 0, 120, 1, n === 3 ? 69 : 46 + n, 3, 1800, { alarms: hot }),
    real("pump.pressure", "Pump pressure", "泵出口压力", "bar", 0, 320, 1, 140, 55, 11, {}),
    real("motor.power", "Motor power", "电机功率", "kW", 0, 90, 2, 38, 22, 11),
    real("bearing.vibration", "Pump bearing vibration", "泵轴承振动速度", "mm/s", 0, 30, 2, n === 2 ? 5.1 : 1.9, 0.4, 240, { alarms: shake }),
    real("cylinder.position", "Ram position", "滑块位置", "mm", 0, 400, 1, 200, 190, 11),
    real("oil.level", "Oil level", "油位", "%", 0, 100, 1, n === 4 ? 58 : 82, 1, 5000, { alarms: [rule("low", "low", 60, "high", "Oil level low: look for a leak", "油位低：检查泄漏")] }),
    real("filter.pressure.drop", "Filter pressure drop", "滤芯压差", "bar", 0, 10, 2, n === 1 ? 2.6 : 1.1, 0.1, 900, { alarms: [rule("clogging", "high", 2.5, "low", "Change the filter element", "请更换滤芯")] }),
    real("tool.temperature", "Tool temperature", "模具温度", "Cel", 0, 300, 1, 182, 4, 300, n === 4 ? { quality: 0x80310000 } : {}),
    real("part.thickness", "Last part thickness", "上一件厚度", "mm", 0, 20, 3, 8.02, 0.02, 30, n === 1 ? { quality: 0x40930000 } : {}),
    setpoint("setpoint.pressure", "Pressure setpoint", "压力设定", "bar", 0, 320, 80, 280, 200),
    { ...setpoint("setpoint.speed", "Approach speed setpoint", "快进速度设定", "mm/s", 0, 400, 50, 250, 200), critical: true },
    setpoint("setpoint.hold.time", "Hold time setpoint", "保压时间设定", "s", 0, 30, 0.5, 20, 3),
    ...common(n),
  ],
  "injection-moulder": (n) => [
    real("melt.temperature", "Melt temperature", "熔体温度", "Cel", 0, 400, 1, 231 + n, 2, 60),
    real("melt.pressure", "Melt pressure", "熔体压力", "bar", 0, 2000, 0, 720, 380, 17, { alarms: [rule("high", "high", 1500, "high", "Melt pressure high: blocked nozzle or gate", "熔体压力高：喷嘴或浇口堵塞")] }),
    real("clamp.force", "Clamp force", "锁模力", "kN", 0, 2000, 0, 900, 800, 17),
    real("mould.temperature", "Mould temperature", "模具温度", "Cel", 0, 200, 1, n === 2 ? 66.5 : 52, 1.2, 400, { alarms: [rule("hot", "high", 65, "medium", "Mould hot: check coolant", "模温偏高：检查冷却水")] }),
    real("coolant.flow", "Coolant flow", "冷却水流量", "L/min", 0, 60, 1, 31, 1.5, 120),
    real("hopper.level", "Hopper level", "料斗料位", "%", 0, 100, 1, 62, 20, 4000, { alarms: [rule("low", "low", 10, "low", "Hopper nearly empty", "料斗将空")] }),
    setpoint("setpoint.cooling.time", "Cooling time setpoint", "冷却时间设定", "s", 0, 60, 2, 40, 8),
    ...common(n === 3 ? 1 : n),
  ],
  "assembly-station": (n) => [
    real("torque", "Screw torque", "拧紧扭矩", "N.m", 0, 60, 1, 24, 9, 13),
    real("cycle.time", "Cycle time", "循环时间", "s", 0, 120, 2, 21, 1.5, 240),
    real("air.pressure", "Air pressure", "气源压力", "bar", 0, 12, 2, 6.9, 0.1, 90, { alarms: [rule("low", "low", 5.5, "medium", "Air pressure low", "气源压力低")] }),
    ...common(n + 3),
  ],
  "air-compressor": () => [
    real("air.pressure", "Receiver pressure", "储气罐压力", "bar", 0, 12, 2, 7.1, 0.25, 75, { alarms: [rule("low", "low", 6, "high", "Air pressure low", "气压低")] }),
    real("air.flow", "Air delivered", "供气量", "m3/min", 0, 15, 2, 8.2, 2, 600),
    real("discharge.temperature", "Discharge temperature", "排气温度", "Cel", 0, 150, 1, 84, 3, 700, { alarms: [rule("hot", "high", 105, "high", "Discharge hot", "排气温度高")] }),
    real("motor.power", "Motor power", "电机功率", "kW", 0, 90, 2, 52, 6, 75),
    real("specific.power", "Specific power", "比功率", "kW.min/m3", 0, 12, 2, 6.3, 0.4, 75, { expression: "motor.power / air.flow", inputs: ["motor.power", "air.flow"] }),
    ...common(6),
  ],
};

const folder = (path, level, en, zh) => ({ path, level, title: t2(en, zh), type: null, attributes: {}, feeds: [] });
const machine = (path, type, en, zh, n, connection, maker, year) => ({ path, level: "equipment", title: t2(en, zh), type, n, connection, attributes: { maker, year }, feeds: [] });
const S = "acme/suzhou";
export const assets = [
  folder("acme", "enterprise", "Acme Components", "阿克米零部件"),
  folder(S, "site", "Suzhou works", "苏州工厂"),
  folder(`${S}/press-shop`, "area", "Press shop", "压制车间"),
  folder(`${S}/press-shop/line-1`, "line", "Press line 1", "压制一线"),
  ...[1, 2, 3, 4].map((n) => machine(`${S}/press-shop/line-1/press-${n}`, "hydraulic-press", `Press ${n}`, `${n}号压机`, n, `press-${n}-plc`, "Taihu Heavy Press", `${2013 + n}`)),
  folder(`${S}/moulding-shop`, "area", "Moulding shop", "注塑车间"),
  ...[1, 2, 3, 4].map((n) => machine(`${S}/moulding-shop/moulder-${n}`, "injection-moulder", `Moulder ${n}`, `${n}号注塑机`, n, "moulding-cell", "Ningbo Plast", `${2017 + n}`)),
  folder(`${S}/assembly`, "area", "Assembly", "装配车间"),
  ...[1, 2].map((n) => machine(`${S}/assembly/station-${n}`, "assembly-station", `Station ${n}`, `${n}号工位`, n, "assembly-cell", "Own make", "2021")),
  folder(`${S}/utilities`, "area", "Utilities", "公用工程"),
  machine(`${S}/utilities/compressor-1`, "air-compressor", "Compressor 1", "1号空压机", 1, "assembly-cell", "Kunlun Air", "2016"),
].map((asset) => ({ parent: asset.path.includes("/") ? asset.path.slice(0, asset.path.lastIndexOf("/")) : null, ...asset }));

export const points = new Map();
for (const asset of assets) {
  if (!asset.n) continue;
  SHEETS[asset.type](asset.n).forEach((row, index) => {
    const modbus = asset.connection.startsWith("press");
    points.set(`${asset.path}/${row.name}`, {
      row, seed: asset.n * 7.3 + index * 1.7,
      answer: {
        path: `${asset.path}/${row.name}`, asset: asset.path, name: row.name, kind: row.kind, unit: row.unit, range: row.range ?? null, write_range: row.write ?? null, critical: row.critical ?? false,
        access: row.write ? "read-write" : "read", title: row.title, decimals: row.decimals ?? null, connection: row.expression ? null : asset.connection, interval_ms: row.expression ? null : 1000, expression: row.expression ?? null, function: null, inputs: (row.inputs ?? []).map((name) => `${asset.path}/${name}`),
        address: row.expression ? null : modbus ? { table: "holding", address: index * 2, encoding: "float32" } : { node: `ns=2;s=${asset.path.split("/").at(-1)}.${row.name}` },
        alarms: (row.alarms ?? []).map((one) => ({ rule: `${asset.path}/${row.name}:${one.name}`, condition: one.condition, limit: one.limit, priority: one.priority })),
      },
    });
  });
}

export const noise = (x) => { const s = Math.sin(x * 12.9898) * 43758.5453; return (s - Math.floor(s)) * 2 - 1; };

/** Value at a time, ms. */
export function valueAt(point, ms) {
  const { row, seed } = point;
  if ("value" in row) return row.value;
  const s = ms / 1000;
  if (row.counter) return row.kind === "int64" ? Math.floor((s - 1.79e9) / row.counter) : (s - 1.79e9) / row.counter;
  const day = Math.sin((2 * Math.PI * s) / 86_400 + seed) * 0.35 + Math.sin((2 * Math.PI * s) / 31_536_000) * 0.4;
  const wave = Math.sin((2 * Math.PI * s) / row.period + seed);
  const v = row.mid + row.swing * (wave * 0.8 + day * (row.period > 100 ? 1 : 0.1)) + row.swing * 0.08 * noise(Math.floor(ms / 250) + seed);
  return Math.min(row.range.high, Math.max(row.range.low, v));
}

/** A cable was out for twenty minutes of every six hours on press 2: bad samples, not a gap. */
export function qualityAt(point, ms) {
  if (point.row.quality) return point.row.quality;
  return point.answer.asset.endsWith("press-2") && Math.floor(ms / 1_200_000) % 18 === 4 && ms < Date.now() - 60_000 ? 0x80050000 : G;
}

/** Of an alarm that nobody has made quiet, and that stands for itself. */
export const LOUD = {
  active: true, latched: false, suppressed_by: null, shelved_until: null, shelved_once: false, quiet_by: "", quiet_reason: "", rationale: null, first_out: 0, consequences: 0,
  handling: { name: "", title: {}, acknowledge: true, comment: false, proof: false, shelve_longest_s: 28_800 },
};

export function standing(now) {
  const found = [];
  for (const point of points.values()) {
    for (const one of point.row.alarms ?? []) {
      const typical = point.row.mid;
      const beyond = one.condition === "high" ? typical > one.limit : typical < one.limit;
      if (beyond) {
        found.push({
          rule: `${point.answer.path}:${one.name}`, point: point.answer.path, asset: point.answer.asset, state: "unack-active", priority: one.priority, condition: one.condition, limit: one.limit,
          message: one.message, value: valueAt(point, now), raised_at: new Date(now - 60_000 * (3 + (found.length * 23) % 90)).toISOString(), cleared_at: null, acknowledged_at: null, acknowledged_by: "", comment: "",
          ...LOUD, group: `${point.answer.path}:${one.name}`,
        });
      }
    }
  }
  return found;
}
