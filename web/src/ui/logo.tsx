export function Logo({ size = 26 }: { size?: number }) {
  return (
    <svg class="logo" width={size} height={size} viewBox="0 0 32 32" fill="none" aria-hidden="true">
      <rect x="4" y="9" width="24" height="14" rx="2.5" stroke="currentColor" stroke-width="2.2" />
      <path d="M13.5 12.6v6.8l6-3.4z" fill="currentColor" />
      <path d="M5 5.5h22M5 26.5h22" stroke="currentColor" stroke-width="1.8" stroke-dasharray="2.2 2.2" />
    </svg>
  );
}
