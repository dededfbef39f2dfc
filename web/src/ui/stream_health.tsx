/** How a live stream arrives, in a few numbers. */

import type { StreamInfo } from "../net/api";
import { streamFacts } from "../stream_facts";

export function StreamHealth({ info }: { info: StreamInfo }) {
  const facts = streamFacts(info, Date.now());
  if (facts.length === 0) return null;
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
