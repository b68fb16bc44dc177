/** Light, dark or as the system says; boot.js reads the same key before the first paint. */
import { localStorageColorSchemeManager } from "@mantine/core";

export const schemeManager = localStorageColorSchemeManager({ key: "headrace.scheme" });
