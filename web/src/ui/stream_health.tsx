/** How a live stream arrives, in a few numbers. */

import { streamFacts } from "../format";
import type { StreamInfo } from "../net/api";

export function StreamHealth({ info }: { info: StreamInfo }) {
  const facts = streamFacts(info);
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
