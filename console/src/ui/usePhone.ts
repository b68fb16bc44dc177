import { useMediaQuery } from "@mantine/hooks";

export const usePhone = () => useMediaQuery("(max-width: 700px)", undefined, { getInitialValueInEffect: false }) ?? false;
