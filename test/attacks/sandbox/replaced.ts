/** `text` with the first `from` replaced. A weakening that changes nothing would prove nothing: then it throws. */
export function replaced(text: string, from: string | RegExp, to: string): string {
  const changed = text.replace(from, () => to);
  if (changed === text) throw new Error(`there is no ${from} to take out`);
  return changed;
}
