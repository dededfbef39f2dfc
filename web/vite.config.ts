import { defineConfig } from "vite";

/** Where `npm run dev` finds a running gateway. */
const gateway = "http://127.0.0.1:8080";

export default defineConfig({
  // The gateway serves gateway/static/app at this path and index.html for the pages themselves.
  base: "/static/app/",
  build: {
    outDir: "../gateway/static/app",
    emptyOutDir: true,
    target: "es2022",
    // A data: URI would need its own word in the Content-Security-Policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: { input: { index: "index.html", docs: "docs.html" } },
    // hls.js and mpegts.js are loaded only by the items that want them, Swagger UI only by /docs.
    chunkSizeWarningLimit: 1_600,
  },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  server: {
    proxy: {
      "/api": gateway,
      "/live": gateway,
      "/ws": { target: gateway, ws: true },
    },
  },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
} as Parameters<typeof defineConfig>[0]);
