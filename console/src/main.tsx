/** The console: boot, then
 *
 *     session ──► shell (strip, rail, banner) ──► page (lazy)
 *     queries: what is declared and what was      api/queries.ts
 *     feed:    what is now                        live/feed.ts
 */
import "@fontsource-variable/ibm-plex-sans/wght.css";
import "./ui/library.css";
import "./ui/tokens.css";
import { MantineProvider } from "@mantine/core";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { queryClient } from "./api/queries";
import { router } from "./app/router";
import { schemeManager } from "./app/scheme";
import { theme, variables } from "./ui/theme";

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <MantineProvider theme={theme} cssVariablesResolver={variables} colorSchemeManager={schemeManager} defaultColorScheme="auto">
        <QueryClientProvider client={queryClient}>
          <RouterProvider router={router} />
        </QueryClientProvider>
      </MantineProvider>
    </StrictMode>,
  );
}
