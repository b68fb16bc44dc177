/** Quality of a sample is the OPC UA StatusCode. Source: OPC 10000-4 §7.39, OPC 10000-6 annex A.2. */
export type Severity = "good" | "uncertain" | "bad";

const NAMES: Readonly<Record<number, string>> = {
  0x00000000: "Good",
  0x00960000: "GoodLocalOverride",
  0x40000000: "Uncertain",
  0x40900000: "UncertainLastUsableValue",
  0x40930000: "UncertainSensorNotAccurate",
  0x40940000: "UncertainEngineeringUnitsExceeded",
  0x40950000: "UncertainSubNormal",
  0x80000000: "Bad",
  0x80050000: "BadCommunicationError",
  0x80070000: "BadDecodingError",
  0x800a0000: "BadTimeout",
  0x80230000: "BadInvalidTimestamp",
  0x80310000: "BadNoCommunication",
  0x80320000: "BadWaitingForInitialData",
  0x80340000: "BadNodeIdUnknown",
  0x803a0000: "BadNotReadable",
  0x803c0000: "BadOutOfRange",
  0x803d0000: "BadNotSupported",
  0x80740000: "BadTypeMismatch",
  0x80890000: "BadConfigurationError",
  0x808a0000: "BadNotConnected",
  0x808b0000: "BadDeviceFailure",
  0x808c0000: "BadSensorFailure",
  0x808d0000: "BadOutOfService",
};

/** The two top bits: 00 good, 01 uncertain, 10 bad; 11 is reserved and counts as bad. */
export function severity(code: number): Severity {
  const top = (code >>> 30) & 3;
  return top === 0 ? "good" : top === 1 ? "uncertain" : "bad";
}

/** The standard's name, else the severity and the number. */
export function qualityName(code: number): string {
  const known = NAMES[(code & 0xffff0000) >>> 0];
  if (known !== undefined) return known;
  const word = severity(code);
  return `${word.charAt(0).toUpperCase()}${word.slice(1)} 0x${(code >>> 0).toString(16).toUpperCase().padStart(8, "0")}`;
}
