import { useEffect, useState } from "preact/hooks";

/** Re-render every so often: time goes on without any signal. */
export function useBeat(ms: number): void {
  const [, beat] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => beat((n) => n + 1), ms);
    return () => clearInterval(timer);
  }, [ms]);
}
